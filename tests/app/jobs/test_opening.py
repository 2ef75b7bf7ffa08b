"""Opening of the job table: tried again until it succeeds, after any failure."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import pytest

from app.errors import StoreUnavailable
from app.jobs import database as databases
from app.jobs import opening
from app.jobs.records import TrainingJob
from app.settings import Settings
from tests.app.runners import Trainings, trainings
from tests.app.waiting import until

BROKEN: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "migration fails": lambda patch: patch.setattr(databases, "migrate", None),
    "import fails": lambda patch: patch.setitem(sys.modules, "app.jobs.database", None),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_whatever_keeps_the_table_from_being_opened_is_logged_and_tried_again(
    settings: Settings,
    child: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """Nobody ran trainings any more after the first fault that no database had reported."""
    monkeypatch.setattr(opening, "OPEN_INTERVAL_S", 0.05)
    child("end('failed', 'enough')")
    with trainings(settings) as here:
        with monkeypatch.context() as patch:
            broken(patch)
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="cannot be used now"):
                    here.start()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"
    assert [line.levelname for line in caplog.records if line.message.startswith("no training")] == ["ERROR"]


@pytest.mark.slow
def test_table_that_becomes_usable_later_is_worked_on(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    settings.state_dir.write_text("no folder")
    with trainings(settings) as here:
        with pytest.raises(StoreUnavailable):
            here.start()
        settings.state_dir.unlink()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"


def _started(here: Trainings) -> TrainingJob | None:
    with contextlib.suppress(StoreUnavailable):
        return here.start()
    return None
