"""Changes of a running job: what is to be written, and what is dropped once it has been."""

from __future__ import annotations

import pytest

from app.jobs.changes import Changes
from modelstore import EpochMetrics, JobResult, Notice, to_line

EPOCH = EpochMetrics(
    epoch=1, epochs=9, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0, elapsed_s=0.1, remaining_s=0.1
)
WARNING = Notice(level="warning", message="leakage_suspect")


def hear(changes: Changes, *events: EpochMetrics | Notice | JobResult) -> None:
    for event in events:
        changes.hear(to_line(event).encode())


def test_only_what_was_written_is_dropped() -> None:
    changes = Changes("j1")
    hear(changes, WARNING)
    written = changes.report(("loading",))
    hear(changes, EPOCH)

    assert changes.forget(written)

    left = changes.report(("loading",))
    assert [line for line in left.lines if "epoch" in line] == list(left.lines) != []
    assert left.values["progress"]["epoch"] == 1
    assert "log" not in left.values
    assert changes.forget(left)
    assert not changes.forget(changes.report(("loading",)))


def test_lines_that_came_while_a_full_buffer_was_written_are_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.changes.MAX_LINES_WAITING", 3)
    changes = Changes("j1")
    hear(changes, WARNING, WARNING, WARNING)
    written = changes.report(())
    hear(changes, EPOCH, EPOCH)

    changes.forget(written)

    assert ["epoch" in line for line in changes.report(()).lines] == [True, True]


def test_result_and_warnings_are_kept_and_nonsense_is_no_event() -> None:
    changes = Changes("j1")
    changes.hear(b"Segmentation fault")
    nonsense = changes.heard
    hear(changes, WARNING, JobResult(reason="failed", detail="so it is", model="iris"))

    assert (nonsense, changes.heard) == (False, True)
    assert (changes.warnings, changes.result and changes.result.detail) == (["leakage_suspect"], "so it is")
    assert len(changes.report(()).lines) == 1


def test_progress_is_the_notice_while_the_training_starves_and_the_epoch_again_afterwards() -> None:
    changes = Changes("j1")
    hear(changes, EPOCH)

    changes.tell(Notice(message="no processor"), starving=True)
    starving = changes.report(()).values["progress"]
    changes.tell(Notice(message="it runs again"), starving=False)

    assert starving["message"] == "no processor"
    assert changes.report(()).values["progress"]["epoch"] == 1
