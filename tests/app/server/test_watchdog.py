"""X4: an event loop that stands still is noticed.

tests/faults/test_standstill.py shows the process replaced.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from app.server.watchdog import Watchdog

SILENT_S = 0.3


@pytest.fixture
def noticed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watchdog(noticed: threading.Event) -> Iterator[Watchdog]:
    dog = Watchdog(SILENT_S, noticed.set)
    yield dog
    dog.rest()


def test_x4_silence_is_noticed_and_said_once(
    watchdog: Watchdog, noticed: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    watchdog.show_life()

    assert noticed.wait(120)
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert "stood still for 0.3 s, in Event.wait" in record.getMessage() or "in Condition.wait" in record.getMessage()


def test_x4_who_shows_life_or_never_did_is_left_alone(noticed: threading.Event) -> None:
    silent_s = 4 * SILENT_S  # a busy machine may keep one thread waiting while the other looks again and again
    watchdog = Watchdog(silent_s, noticed.set)
    assert not noticed.wait(2 * SILENT_S), "it has not begun"
    for _ in range(160):
        watchdog.show_life()
        assert not noticed.wait(silent_s / 80)
    watchdog.rest()


@pytest.mark.slow
def test_x4_who_was_told_to_stop_is_left_alone(watchdog: Watchdog, noticed: threading.Event) -> None:
    watchdog.show_life()
    watchdog.rest()

    assert not noticed.wait(2 * SILENT_S)


ENDS = """
import os, subprocess
from app.server.watchdog import end_children
process = subprocess.Popen(["/bin/sleep", "600"])
end_children()
try:
    os.kill(process.pid, 0)
except ProcessLookupError:
    print("gone")
"""


@pytest.mark.slow
def test_x4_children_are_gone_when_they_were_ended() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True)

    assert done.stdout == "gone\n"
