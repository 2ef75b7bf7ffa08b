from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from modelstore import EpochMetrics, JobResult, ModelRepository, from_line
from modelstore.progress import SEARCH_ENDED
from tests.training.cli.consoles import new_console, text
from tests.training.samples import DATA, collect
from training.artifact.reproduce import reproduce
from training.cli.fit import CANCELLED, FAILED, SUCCEEDED, WRONG_USAGE, FitRequest, ensure, fit
from training.config.recipe import BUILT_IN
from training.config.run import Folders
from training.errors import RecipeError

FEW_EPOCHS = ("epochs=3",)


@pytest.fixture
def folders(tmp_path: Path, undrawn: None) -> Folders:
    return Folders(models=tmp_path / "models", data=DATA, recipes=BUILT_IN)


def request(folders: Folders, **changes: Any) -> FitRequest:
    return FitRequest(**{"model": "iris", "folders": folders, "assignments": FEW_EPOCHS, **changes})


def last_event(output: Console) -> JobResult:
    event = [from_line(line) for line in text(output).splitlines()][-1]
    assert isinstance(event, JobResult)
    return event


@pytest.mark.slow
def test_a_person_sees_epochs_confusion_matrix_report_and_knn(folders: Folders) -> None:
    output, errors = new_console(), new_console()

    code = fit(request(folders), output, errors)

    shown = text(output)
    assert (code, text(errors)) == (SUCCEEDED, "")
    for part in ("epoch 3/3", "iris version 1 is active", "confusion matrix", "precision", "knn", "loss.png"):
        assert part in shown


@pytest.mark.slow
def test_a_program_sees_events_and_a_result(folders: Folders) -> None:
    output, errors = new_console(), new_console()

    code = fit(request(folders, json_lines=True, job="job-9", seed=5), output, errors)

    events = [from_line(line) for line in text(output).splitlines()]
    assert code == SUCCEEDED
    assert [event.epoch for event in events if isinstance(event, EpochMetrics)] == [1, 2, 3]
    assert last_event(output).version == 1
    lineage = ModelRepository(folders.models).find("iris", 1).manifest().lineage
    assert (lineage.job, lineage.seed) == ("job-9", 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "titanic"},
        {"model": "../iris"},
        {"model": "iris-tutorial"},
        {"recipe": "cancer"},
        {"recipe": "nothing"},
        {"assignments": ["epochs"]},
        {"assignments": ["epochs=0"]},
        {"overrides": "{"},
        {"overrides": '{"momentum": 1}'},
        {"overrides": '{"patience": 3}'},
        {"seed": -1},
        {"decision": "{"},
        {"decision": '{"threshold": 2}'},
        {"decision": '{"maximise": "f1"}'},  # the recipe has no validation rows
        {"seed": 2**32},
    ],
    ids=str,
)
def test_wrong_usage_ends_in_one_line_and_a_result(folders: Folders, changes: dict[str, Any]) -> None:
    output, errors = new_console(), new_console()

    code = fit(request(folders, json_lines=True, **changes), output, errors)

    assert code == WRONG_USAGE
    assert (last_event(output).reason, last_event(output).version) == ("failed", None)
    assert text(errors).strip() == f"failed: {last_event(output).detail}"
    assert not folders.models.exists()


@pytest.mark.slow
def test_a_decision_is_published(folders: Folders) -> None:
    costs = [[0, 1, 1], [1, 0, 1], [9, 9, 0]]

    code = fit(request(folders, decision=json.dumps({"costs": costs})), new_console(), new_console())

    decision = ModelRepository(folders.models).find("iris", 1).manifest().decision
    assert code == SUCCEEDED
    assert decision is not None
    assert decision.costs == tuple(map(tuple, costs))


def test_a_decision_for_other_classes_fails(folders: Folders) -> None:
    errors = new_console()

    code = fit(request(folders, decision='{"threshold": 0.3}'), new_console(), errors)

    assert code == FAILED
    assert "expected costs or maximise, as a threshold is for two classes and there are 3" in text(errors)


def test_tensorboard_in_a_folder_that_cannot_be_is_one_line(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    errors = new_console()

    assert fit(request(folders, tensorboard=tmp_path / "file"), new_console(), errors) == WRONG_USAGE
    assert len(text(errors).splitlines()) == 1


def test_a_training_that_fails_says_so_once(folders: Folders) -> None:
    output, errors = new_console(), new_console()

    code = fit(request(folders, assignments=("lr=1e6", "optimizer=sgd")), output, errors)

    assert code == FAILED
    assert text(errors).startswith("diverged: ")
    assert "diverged" not in text(output)
    assert not folders.models.exists()


def test_a_diverging_job_ends_in_a_result(folders: Folders) -> None:
    output = new_console()

    assert fit(request(folders, assignments=("lr=1e6",), json_lines=True), output, new_console()) == FAILED
    assert last_event(output).reason == "diverged"


class Interrupting(io.StringIO):
    """A listener that presses Ctrl-C so many times when it hears this, by default the second epoch."""

    def __init__(self, times: int, at: str = '"epoch":2,') -> None:
        super().__init__()
        self._times, self._at = times, at

    def write(self, line: str) -> int:
        written = super().write(line)
        if self._at in line:
            for _ in range(self._times):
                signal.raise_signal(signal.SIGINT)
        return written


@pytest.mark.slow
def test_ctrl_c_ends_the_training_early_and_publishes_what_it_has_learnt(folders: Folders) -> None:
    output = Console(file=Interrupting(times=1))

    code = fit(request(folders, json_lines=True, policy="always", assignments=("epochs=50",)), output, new_console())

    assert code == SUCCEEDED
    found = ModelRepository(folders.models).find("iris", 1)
    manifest = found.manifest()
    assert manifest.lineage.stopped
    assert any("stopped after epoch 2 of 50, as requested" in warning for warning in manifest.warnings)
    assert text(output).count("the training ends soon with what it has learnt") == 1
    events, outcome = collect(lambda report: reproduce(found, folders.data, report))
    assert outcome.differing
    assert any("ended early" in str(event) for event in events)


@pytest.mark.slow
def test_ctrl_c_in_a_search_ends_the_search_and_the_best_settings_are_trained_in_full(folders: Folders) -> None:
    output = Console(file=Interrupting(times=1, at="search: 2 of 9"))

    code = fit(request(folders, json_lines=True, search=9), output, new_console())

    assert code == SUCCEEDED
    manifest = ModelRepository(folders.models).find("iris", 1).manifest()
    assert manifest.search
    assert len(manifest.search.trials) == 2
    assert any("search: ends after 2 settings, as requested" in warning for warning in manifest.warnings)
    assert not manifest.lineage.stopped
    assert '"epoch":3,' in text(output)
    assert text(output).count("ends soon") == 1
    assert text(output).count(SEARCH_ENDED) == 1


def test_ctrl_c_twice_publishes_nothing(folders: Folders) -> None:
    output = Console(file=Interrupting(times=2))

    code = fit(request(folders, json_lines=True, assignments=("epochs=50",)), output, new_console())

    assert code == CANCELLED
    assert last_event(output).reason == "cancelled"
    assert not folders.models.exists()


@pytest.fixture
def small(tmp_path: Path, undrawn: None) -> Folders:
    """Return folders with iris and its tutorial as the only recipes."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    for name in ("iris.toml", "iris-tutorial.toml"):
        shutil.copy(BUILT_IN / name, recipes / name)
    return Folders(models=tmp_path / "models", data=DATA, recipes=recipes)


@pytest.mark.slow
def test_ensure_trains_and_activates_default_recipes_once(small: Folders) -> None:
    repository, first, second = ModelRepository(small.models), new_console(), new_console()

    codes = [ensure(small, output, new_console()) for output in (first, second)]

    assert codes == [SUCCEEDED, SUCCEEDED]
    assert (repository.names(), repository.versions("iris"), repository.active("iris")) == (("iris",), (1,), 1)
    assert text(second) == "all 1 models are trained: iris\n"


@pytest.mark.slow
def test_recipe_says_when_a_version_becomes_active_unless_the_command_does(small: Folders) -> None:
    recipe = small.recipes / "iris.toml"
    recipe.write_text(f'activate = "never"\n{recipe.read_text()}')

    for policy, active in ((None, None), ("always", 2)):
        assert fit(request(small, policy=policy), new_console(), new_console()) == SUCCEEDED
        assert ModelRepository(small.models).active("iris") == active


def test_ensure_fails_with_the_first_training_that_does(small: Folders, tmp_path: Path) -> None:
    errors = new_console()

    code = ensure(Folders(small.models, tmp_path / "nowhere", small.recipes), new_console(), errors)

    assert code == FAILED
    assert text(errors).startswith("bad_data: iris.csv: no such file")


def test_ensure_refuses_a_broken_recipe(small: Folders) -> None:
    (small.recipes / "iris.toml").write_text("model = 1")

    with pytest.raises(RecipeError, match=r"iris\.toml: model"):
        ensure(small, new_console(), new_console())


@pytest.mark.slow
def test_search_alone_tries_settings_and_publishes_nothing(folders: Folders) -> None:
    output, errors = new_console(), new_console()

    code = fit(request(folders, search=2, only_search=True), output, errors)

    assert (code, text(errors)) == (SUCCEEDED, "")
    assert "settings were tried; nothing is published" in text(output)
    assert folders.repository().names() == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workers": 2}, "--search N beside it"),
        ({"only_search": True}, "--search N beside it"),
        ({"workers": 2, "search": 2, "card": "-"}, "none from standard input"),
        ({"workers": 2, "search": 2, "feedback": "-"}, "none from standard input"),
    ],
)
def test_workers_without_a_search_or_without_their_values_are_refused(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"rows": []}\n' if "feedback" in changes else "{}\n"))
    errors = new_console()

    code = fit(request(folders, **changes), new_console(), errors)

    assert (code, said in text(errors)) == (WRONG_USAGE, True)


@pytest.mark.slow
def test_processes_share_a_search_and_only_one_publishes(folders: Folders) -> None:
    command = ["fit", "iris", "--set", "epochs=40", "--search", "12", "--workers", "2", "--models-dir"]
    done = subprocess.run(
        [sys.executable, "-m", "training", *command, str(folders.models), "--data-dir", str(DATA)],
        check=False, capture_output=True, text=True, cwd=DATA.parent,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert folders.repository().versions("iris") == (1,)
    found = folders.repository().find("iris", 1).manifest().search
    assert found is not None
    losses = [trial.loss for trial in found.trials if trial.loss is not None]
    assert len(found.trials) == len({str(trial.settings) for trial in found.trials}) == 12
    assert found.trials[found.best].loss == min(losses) <= losses[0]  # the first are those of the recipe
