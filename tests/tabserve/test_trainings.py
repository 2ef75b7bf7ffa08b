"""What is asked of a service about trainings, without one."""

from __future__ import annotations

import pytest

from tabserve import trainings
from tabserve.trainings import EventReader


def test_events_are_put_together_from_lines() -> None:
    reader = EventReader()
    lines = [": still here", "", "event: notice", "id: 4", 'data: {"event": "notice", "message": "a: b"}', ""]

    assert [reader.line(line) for line in lines] == [None] * 5 + [("4", {"event": "notice", "message": "a: b"})]


@pytest.mark.parametrize(("keep", "query"), [(False, {}), (True, {"keep": "true"})])
def test_a_training_is_cancelled_or_ended_early(keep: bool, query: dict[str, str]) -> None:
    call = next(trainings.cancel("j1", keep=keep))

    assert (call.method, call.path, call.query) == ("DELETE", "/train/j1", query)
