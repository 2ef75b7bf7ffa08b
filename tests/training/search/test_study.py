from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from tests import postgres
from tests.app.waiting import until
from training.errors import StudyUnavailable
from training.search import study as study_module
from training.search.study import Attempt, JSONObject, Standing, Study


def draw(trial: optuna.Trial) -> JSONObject:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


def loss_of(settings: JSONObject) -> float | None:
    x = settings.get("x", 1.0)
    assert isinstance(x, float)
    return (x - 0.3) ** 2


def search(database: str | Path, wanted: int, seed: int = 0) -> Study:
    """Try settings until as many as are wanted are tried."""
    study = Study(database, "parabola", seed)
    attempt = Attempt(draw, lambda settings: True, loss_of)
    while study.standing().tried < wanted:
        study.try_next(wanted, attempt)
    return study


@pytest.mark.slow
def test_the_first_settings_are_those_of_the_training_and_the_same_seed_draws_the_same_others(tmp_path: Path) -> None:
    first, again, other = (search(tmp_path / f"{n}.sqlite", 3, seed).trials() for n, seed in enumerate((0, 0, 1)))

    assert first[0].settings == {}
    assert first == again != other
    assert len({str(trial.settings) for trial in first}) == 3


@pytest.mark.slow
def test_interrupted_settings_are_drawn_again_and_finished_ones_are_not(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(settings: JSONObject) -> float | None:
        raise Stop

    whole = search(tmp_path / "whole.sqlite", 3).trials()
    study = search(tmp_path / "cut.sqlite", 2)
    with pytest.raises(Stop):
        study.try_next(3, Attempt(draw, lambda settings: True, stop))
    assert study.standing() == Standing(2, 0)

    assert search(tmp_path / "cut.sqlite", 3).trials() == whole


def test_settings_that_cannot_be_trained_count_and_have_no_loss(tmp_path: Path) -> None:
    study = Study(tmp_path / "s.sqlite", "none", 0)

    study.try_next(2, Attempt(draw, lambda settings: True, lambda settings: None))

    assert [(trial.settings, trial.loss) for trial in study.trials()] == [({}, None)]


def test_neither_more_settings_than_wanted_nor_equal_ones_nor_unaffordable_ones_are_tried(tmp_path: Path) -> None:
    study = search(tmp_path / "s.sqlite", 2)
    same = Attempt(lambda trial: study.trials()[1].settings, lambda settings: True, loss_of)
    dear = Attempt(draw, lambda settings: len(settings) < 3, loss_of)

    assert study.try_next(2, same)
    assert study.try_next(3, same)
    assert not study.try_next(3, dear)
    assert len(study.trials()) == 2


def test_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StudyUnavailable) as caught:
        Study("postgresql+psycopg://tabserve:secret@127.0.0.1:1/jobs?connect_timeout=2", "none", 0)

    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_settings_of_a_killed_process_are_taken_up_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = """
import os, signal, sys
from pathlib import Path
from training.search import study
from tests.training.search.test_study import draw
study.HEARTBEAT_S, study.GRACE_S = 1, 2
kill = study.Attempt(draw, lambda settings: True, lambda settings: os.kill(os.getpid(), signal.SIGKILL))
study.Study(Path(sys.argv[1]), "parabola", 0).try_next(4, kill)
"""
    whole = search(tmp_path / "whole.sqlite", 4).trials()
    search(tmp_path / "cut.sqlite", 2)
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "cut.sqlite")], check=False)
    monkeypatch.setattr(study_module, "HEARTBEAT_S", 1)
    monkeypatch.setattr(study_module, "GRACE_S", 2)
    study = Study(tmp_path / "cut.sqlite", "parabola", 0)
    assert study.standing() == Standing(2, 1)

    until(lambda: study.standing() == Standing(2, 0), "the process to be missed")

    assert search(tmp_path / "cut.sqlite", 4).trials() == whole


@pytest.mark.slow
def test_settings_of_a_process_that_ended_before_its_first_heartbeat_are_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(tmp_path / "whole.sqlite", 3).trials()
    search(tmp_path / "cut.sqlite", 2)
    optuna.load_study(study_name="parabola", storage=f"sqlite:///{tmp_path / 'cut.sqlite'}").ask()
    study = Study(tmp_path / "cut.sqlite", "parabola", 0)
    assert study.standing() == Standing(2, 1)

    with monkeypatch.context() as patch:
        patch.setattr(study_module, "GRACE_S", 0)
        assert study.standing() == Standing(2, 0)

    assert search(tmp_path / "cut.sqlite", 3).trials() == whole


@pytest.mark.slow
@pytest.mark.skipif(not postgres.available(), reason="PostgreSQL is not installed")
def test_two_processes_share_a_study_beside_the_job_table_and_try_nothing_twice() -> None:
    program = "import sys; from tests.training.search.test_study import search; search(sys.argv[1], 40).close()"
    with postgres.cluster() as url:
        both = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        with contextlib.closing(Study(url, "parabola", 0)) as study:
            trials = study.trials()

    assert len(trials) == len({str(trial.settings) for trial in trials}) == 40
    assert min(trial.loss for trial in trials if trial.loss is not None) < 1e-4  # those drawn at last are near the best
