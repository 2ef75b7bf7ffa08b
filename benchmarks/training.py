"""Training beside the tutorials' loops, and on millions of rows.

Entry point: `python -m benchmarks.training`. Ours and theirs take turns on one core, and a ratio is taken between two
figures of the same round. Both start from rows that are read and split, scale them, train, and print what they print.
It serves nothing and needs no store.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import threadpoolctl
import torch
from rich.console import Console
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from benchmarks import cores, machine, report
from benchmarks.baselines import tutorials
from benchmarks.outcomes import Outcome, Results
from benchmarks.progress import Progress
from benchmarks.store import PROJECT
from training.cli.progress import PlainLines
from training.config.learner_settings import TrainingSettings
from training.config.recipe import BUILT_IN, Recipe, load_recipe
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.splits import Splits, load_splits
from training.evaluation.candidate import make_probe
from training.evaluation.metrics import log_loss
from training.learners.mlp.fit import MLPLearner
from training.learners.mlp.network import MLP
from training.learners.protocol import predictor
from training.preprocessing.scaler import fit_scaler

Tutorial = Callable[[Tensor, Tensor, Tensor, Tensor, int], nn.Module]

DOCUMENT = PROJECT / "docs" / "performance.md"
RESULTS = PROJECT / "benchmarks" / "results" / "training.json"
PLACE = "training"
OURS, THEIRS, FORWARD = "tabserve", "the tutorial's loop", "NumPy, forward only"
TUTORIALS: dict[str, Tutorial] = {"cancer": tutorials.cancer, "iris": tutorials.iris, "blobs": tutorials.blobs}
SAME_LOSS = {"cancer": 0.02, "iris": 1e-4, "blobs": 1e-4}  # nats; cancer shuffles and drops by other draws
FEATURES, HIDDEN = 20, (64, 32)
BATCH_ROWS = (256, 4096, 0)
FORWARD_ROWS = 4096


class NotTheSame(Exception):
    """Two trainings that are compared ended at different losses."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    options = _parser().parse_args()
    if options.report:
        results = Results.read(RESULTS)
    else:
        torch.set_num_threads(1)
        with threadpoolctl.threadpool_limits(1), Progress() as progress:
            results = _measure(options, progress)
        results.write(RESULTS)
    text = f"{machine_text(results)}\n\n{report.tables(results)}"
    sys.stdout.write(f"{text}\n")
    if options.write_docs:
        DOCUMENT.write_text(fill(DOCUMENT.read_text("utf-8"), text), "utf-8")
    return 0


def machine_text(results: Results) -> str:
    """Return where and how it was measured."""
    found = results.machine
    libraries = ", ".join(f"{name} {found.libraries[name]}" for name in ("torch", "numpy"))
    when = max(outcome.measured for outcome in results.outcomes.values())
    plan = ", ".join(sorted({outcome.plan for outcome in results.outcomes.values()}))
    load = "" if found.load_average < cores.BUSY_LOAD else f" **Not quiet: load average {found.load_average}.**"
    return f"{found.processor}, one thread, Python {found.python}, {libraries}; plan: {plan}; {when[:16]} UTC.{load}"


def fill(document: str, text: str) -> str:
    """Return a document with the text between the markers replaced.

    Raises:
        NoMarker: if a marker is not there.
    """
    return report.fill_place(document, PLACE, text)


def beside_tutorial(name: str, rounds: int, say: Callable[[str], None]) -> Outcome:
    """Train one built-in model by its tutorial's loop and by ours, in turns; the first round is not counted.

    Raises:
        NotTheSame: if the two end at losses that differ by more than chance.
    """
    recipe = load_recipe(f"{name}-tutorial", BUILT_IN)
    splits = load_splits(recipe.data, PROJECT / "data")
    settings = recipe.training
    outcome = Outcome(
        scenario=f"training_{name}",
        title=f"`{name}-tutorial`: {settings.epochs} epochs of {len(splits.train)} rows",
        reference=THEIRS,
        compared_by="epochs_per_s",
    )
    for number in range(rounds + 1):
        say(f"{name}: round {number} of {rounds}")
        figures = {}
        for system in (OURS, THEIRS) if number % 2 else (THEIRS, OURS):
            train = _ours if system == OURS else _theirs
            started = time.perf_counter()
            loss = train(recipe, splits)
            seconds = time.perf_counter() - started
            figures[system] = {"epochs_per_s": settings.epochs / seconds, "whole_training_ms": seconds * 1e3}
            figures[system]["final_loss_nats"] = loss()
        _require_same(name, *(found["final_loss_nats"] for found in figures.values()))
        for system, found in figures.items() if number else ():
            outcome.add(system, **found)
    outcome.notes.append(f"The final loss is that of the training rows, within {SAME_LOSS[name]} nats by requirement.")
    return outcome


def large(rows: int, rounds: int, say: Callable[[str], None]) -> Outcome:
    """Take epochs on many rows, with batches of some sizes, beside a forward pass over the same rows in NumPy."""
    say(f"drawing {rows:,} rows")
    dataset = _draw_rows(rows)
    x = fit_scaler(dataset.x)(torch.from_numpy(dataset.x)).numpy()
    weights = _numpy_weights(MLP(FEATURES, 2, HIDDEN))
    outcome = Outcome(
        scenario="training_large",
        title=f"{rows:,} rows, {FEATURES}-{'-'.join(map(str, HIDDEN))}-1: one epoch",
        reference=FORWARD,
        compared_by="rows_per_s",
    )
    outcome.notes.append(
        "An epoch shuffles, gathers, and goes forward and backward, which is 2.6 times the arithmetic of going "
        "forward: at the same speed of arithmetic 0.38 would be the limit."
    )
    for number in range(rounds + 1):
        measured = {FORWARD: rows / _measure_s(lambda: _forward(x, weights))}
        for batch_rows in BATCH_ROWS:
            say(f"large: batches of {batch_rows or rows:,}, round {number} of {rounds}")
            settings = TrainingSettings(hidden=HIDDEN, epochs=1, lr=0.001, batch_size=batch_rows)
            title = f"tabserve, batches of {batch_rows:,}" if batch_rows else "tabserve, full batch"
            fitted = MLPLearner(settings).fit(dataset, None, report=lambda event: None)
            measured[title] = fitted.history[0].rows_per_s
        for system, rows_per_s in measured.items() if number else ():
            outcome.add(system, rows_per_s=rows_per_s)
    return outcome


def _measure(options: argparse.Namespace, progress: Progress) -> Results:
    results = Results(machine=machine.describe(cores.divide(cores.available())))
    rounds, rows = (5, 200_000) if options.quick else (15, 5_000_000)
    outcomes = [beside_tutorial(name, rounds, progress.say) for name in TUTORIALS]
    outcomes.append(large(rows, rounds // 3, progress.say))
    for outcome in outcomes:
        outcome.plan = "quick" if options.quick else "full"
        outcome.measured = datetime.now(UTC).isoformat(timespec="seconds")
        results.outcomes[outcome.scenario] = outcome
    return results


def _ours(recipe: Recipe, splits: Splits) -> Callable[[], float]:
    """Train as `fit` does, its lines shown; return what measures the loss at the end."""
    view = PlainLines(Console(file=io.StringIO()))
    probe = make_probe(recipe, splits.test)
    fitted = MLPLearner(recipe.training).fit(splits.train, None, view.show, probe)
    predict = predictor(fitted.module)
    return lambda: log_loss(predict(splits.train.x), splits.train.y)


def _theirs(recipe: Recipe, splits: Splits) -> Callable[[], float]:
    """Train as the tutorial does; return what measures the loss at the end."""
    scaler = StandardScaler().fit(splits.train.x)
    x, test_x = (torch.tensor(scaler.transform(part.x)).float() for part in (splits.train, splits.test))
    y, test_y = (torch.tensor(part.y) for part in (splits.train, splits.test))
    with contextlib.redirect_stdout(io.StringIO()):
        model = TUTORIALS[recipe.model](x, y, test_x, test_y, recipe.training.seed)

    def loss() -> float:
        model.eval()
        with torch.no_grad():
            answers = model(x)
        probability = answers if recipe.model == "cancer" else torch.sigmoid(answers)
        both = torch.cat((1 - probability, probability), 1) if answers.shape[1] == 1 else torch.softmax(answers, 1)
        return log_loss(both.numpy(), splits.train.y)

    return loss


def _require_same(name: str, ours: float, theirs: float) -> None:
    if abs(ours - theirs) > SAME_LOSS[name]:
        raise NotTheSame(f"{name}: the losses at the end are {ours:.4f} and {theirs:.4f}")


def _draw_rows(rows: int) -> Dataset:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, FEATURES), dtype=np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > generator.standard_normal(rows, dtype=np.float32)).astype(np.int64)
    columns = tuple(Column(f"x{number}") for number in range(FEATURES))
    return Dataset(x, y, columns, ("below", "above"), np.arange(rows) + 2, np.arange(rows, dtype=np.uint64))


def _numpy_weights(net: MLP) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy()) for layer in linears]


def _forward(
    x: npt.NDArray[np.float32], weights: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
) -> None:
    """Pass all rows through, in chunks that stay in the cache."""
    for start in range(0, len(x), FORWARD_ROWS):
        z = x[start : start + FORWARD_ROWS]
        for number, (weight, bias) in enumerate(weights):
            z = z @ weight
            z += bias
            if number < len(weights) - 1:
                np.maximum(z, 0, out=z)


def _measure_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench-training",
        description="Measures training beside the tutorials' loops and on many rows. Let nothing else run meanwhile.",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds and 200,000 rows, to see that it works")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--report", action="store_true", help="measure nothing, show the results of the last run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
