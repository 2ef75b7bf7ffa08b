from __future__ import annotations

import io
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from modelstore import EpochMetrics, JobResult, ModelRepository, from_line
from tests.training.samples import DATA
from training.cli.fit import CANCELLED, FAILED, SUCCEEDED, WRONG_USAGE, FitRequest, ensure, fit
from training.config.recipe import BUILT_IN
from training.config.run import Folders
from training.errors import RecipeError

FEW_EPOCHS = ("epochs=3",)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(models=tmp_path / "models", data=DATA, recipes=BUILT_IN)


def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def request(folders: Folders, **changes: Any) -> FitRequest:
    return FitRequest(**{"model": "iris", "folders": folders, "assignments": FEW_EPOCHS, **changes})


def last_event(output: Console) -> JobResult:
    event = [from_line(line) for line in text(output).splitlines()][-1]
    assert isinstance(event, JobResult)
    return event


def test_a_person_sees_epochs_confusion_matrix_report_and_knn(folders: Folders) -> None:
    output, errors = console(), console()

    code = fit(request(folders), output, errors)

    shown = text(output)
    assert (code, text(errors)) == (SUCCEEDED, "")
    for part in ("epoch 3/3", "iris version 1 is active", "confusion matrix", "precision", "knn", "loss.png"):
        assert part in shown


def test_a_program_sees_events_and_a_result(folders: Folders) -> None:
    output, errors = console(), console()

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
    output, errors = console(), console()

    code = fit(request(folders, json_lines=True, **changes), output, errors)

    assert code == WRONG_USAGE
    assert (last_event(output).reason, last_event(output).version) == ("failed", None)
    assert text(errors).strip() == f"failed: {last_event(output).detail}"
    assert not folders.models.exists()


def test_a_decision_is_published(folders: Folders) -> None:
    costs = [[0, 1, 1], [1, 0, 1], [9, 9, 0]]

    code = fit(request(folders, decision=json.dumps({"costs": costs})), console(), console())

    decision = ModelRepository(folders.models).find("iris", 1).manifest().decision
    assert code == SUCCEEDED
    assert decision is not None
    assert decision.costs == tuple(map(tuple, costs))


def test_a_decision_for_other_classes_fails(folders: Folders) -> None:
    errors = console()

    code = fit(request(folders, decision='{"threshold": 0.3}'), console(), errors)

    assert code == FAILED
    assert "expected costs or maximise, as a threshold is for two classes and there are 3" in text(errors)


def test_tensorboard_without_its_extra_says_what_to_install(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "training.cli.tensorboard", None)  # as if the library were not there
    errors = console()

    code = fit(request(folders, tensorboard=folders.models), console(), errors)

    assert code == WRONG_USAGE
    assert "pip install 'tabserve[tensorboard]'" in text(errors)


def test_tensorboard_in_a_folder_that_cannot_be_is_one_line(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    errors = console()

    assert fit(request(folders, tensorboard=tmp_path / "file"), console(), errors) == WRONG_USAGE
    assert len(text(errors).splitlines()) == 1


def test_a_training_that_fails_says_so_once(folders: Folders) -> None:
    output, errors = console(), console()

    code = fit(request(folders, assignments=("lr=1e6", "optimizer=sgd")), output, errors)

    assert code == FAILED
    assert text(errors).startswith("diverged: ")
    assert "diverged" not in text(output)
    assert not folders.models.exists()


def test_a_diverging_job_ends_in_a_result(folders: Folders) -> None:
    output = console()

    assert fit(request(folders, assignments=("lr=1e6",), json_lines=True), output, console()) == FAILED
    assert last_event(output).reason == "diverged"


def test_ctrl_c_in_the_middle_publishes_nothing(folders: Folders) -> None:
    class Interrupting(io.StringIO):
        """A listener at whose second epoch somebody presses Ctrl-C."""

        def write(self, line: str) -> int:
            written = super().write(line)
            if '"epoch":2' in line:
                signal.raise_signal(signal.SIGINT)
            return written

    output = Console(file=Interrupting())

    code = fit(request(folders, json_lines=True, assignments=("epochs=50",)), output, console())

    assert code == CANCELLED
    assert last_event(output).reason == "cancelled"
    assert not folders.models.exists()


@pytest.fixture
def small(tmp_path: Path) -> Folders:
    """Return folders with iris and its tutorial as the only recipes."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    for name in ("iris.toml", "iris-tutorial.toml"):
        shutil.copy(BUILT_IN / name, recipes / name)
    return Folders(models=tmp_path / "models", data=DATA, recipes=recipes)


def test_ensure_trains_and_activates_default_recipes_once(small: Folders) -> None:
    repository, first, second = ModelRepository(small.models), console(), console()

    codes = [ensure(small, output, console()) for output in (first, second)]

    assert codes == [SUCCEEDED, SUCCEEDED]
    assert (repository.names(), repository.versions("iris"), repository.active("iris")) == (("iris",), (1,), 1)
    assert text(second) == "all 1 models are trained: iris\n"


def test_ensure_fails_with_the_first_training_that_does(small: Folders, tmp_path: Path) -> None:
    errors = console()

    code = ensure(Folders(small.models, tmp_path / "nowhere", small.recipes), console(), errors)

    assert code == FAILED
    assert text(errors).startswith("bad_data: iris.csv: no such file")


def test_ensure_refuses_a_broken_recipe(small: Folders) -> None:
    (small.recipes / "iris.toml").write_text("model = 1")

    with pytest.raises(RecipeError, match=r"iris\.toml: model"):
        ensure(small, console(), console())
