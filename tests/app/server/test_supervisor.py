"""The supervisor: when an ended worker is started again; with real, idle processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.lifecycle import DEVICE_LOST
from app.server import supervisor
from app.server.supervisor import BACKOFF_S, Start, Worker
from tests.app.waiting import until

LOOKS = itertools.count(100.0, 0.001)


def now() -> float:
    return next(LOOKS)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the workers of this process a clock on which each look takes a millisecond, however slow the machine is."""
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=now))


def ends_with(code: int) -> Start:
    """Return what starts a process that gives a sign of life and ends."""
    script = f"import os, sys; os.write(int(sys.argv[1]), b'.'); os._exit({code})"
    return lambda pipe: subprocess.Popen([sys.executable, "-ISc", script, str(pipe)], pass_fds=[pipe])


def ended(worker: Worker, code: int) -> float:
    """Let the worker live for a moment and end with a code; return the seconds until its place is filled again."""
    worker.start(ends_with(code))
    assert worker.process
    worker.process.wait()
    assert worker.reap() == code
    assert worker.began
    return worker.due - now()


def test_lost_device_is_tried_again_ever_later() -> None:
    worker = Worker()

    waits = [ended(worker, DEVICE_LOST) for _ in range(len(BACKOFF_S) + 1)]

    assert waits == pytest.approx([*BACKOFF_S, 60], abs=0.01)
    assert BACKOFF_S == (1, 2, 4, 8, 16, 32, 60)


def test_worker_that_dies_as_soon_as_it_lives_is_started_ever_later_whatever_it_died_of() -> None:
    worker = Worker()

    assert [ended(worker, 1) for _ in range(2)] == pytest.approx([1, 2], abs=0.01)


def test_worker_that_lived_a_while_is_started_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    assert ended(worker, 1) > 0
    monkeypatch.setattr("app.server.supervisor.STEADY_S", 0.0)

    assert ended(worker, 1) <= 0


def test_long_life_makes_up_for_early_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    for _ in range(3):
        ended(worker, DEVICE_LOST)
    monkeypatch.setattr("app.server.supervisor.LASTING_S", 0.0)

    assert ended(worker, DEVICE_LOST) == pytest.approx(1, abs=0.01)


def no_such_program(_pipe: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/nonexistent"])


def test_worker_that_cannot_be_forked_leaves_nothing_behind_and_is_due_ever_later() -> None:
    worker, waits = Worker(), []
    before = set(Path("/proc/self/fd").iterdir())

    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            worker.start(no_such_program)
        waits.append(worker.due - now())

    assert waits == pytest.approx([1, 2, 4], abs=0.01)
    assert worker.process is None
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert ended(worker, 0) == pytest.approx(8, abs=0.01)


# A launcher whose start number N does as the N-th word says: cannot be forked, ends at once with a code, or serves.
LAUNCHER = """
import itertools, subprocess, sys
from app.server import supervisor
from app.server.signals import NotedSignals

supervisor.BACKOFF_S = (0.01,)
supervisor.STEADY_S = 0.0
serves = "import os, sys, time; os.write(int(sys.argv[1]), b'.'); print(os.getpid(), flush=True); time.sleep(600)"
words = itertools.chain(sys.argv[1:], itertools.repeat("serves"))

def start(pipe):
    word = next(words)
    if word == "none":
        return subprocess.Popen(["/nonexistent"])
    script = serves if word == "serves" else f"raise SystemExit({word})"
    return subprocess.Popen([sys.executable, "-ISc", script, str(pipe)], pass_fds=[pipe])

with NotedSignals() as signals:
    launcher = supervisor.Supervisor(
        start, 2, first_serves=lambda: None, refuse=lambda: None, drain_s=0, grace_s=0, silent_s=600
    )
    sys.exit(launcher.run(signals))
"""


@contextlib.contextmanager
def launched(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a launcher of two workers; it prints the number of each that serves."""
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def serving(process: subprocess.Popen[str]) -> int:
    """Return the number of the next worker that serves."""
    assert process.stdout
    return int(process.stdout.readline())


@pytest.mark.parametrize("trouble", ["none", "3"], ids=["cannot be forked", "cannot start"])
def test_worker_whose_place_cannot_be_filled_is_tried_again_while_the_other_serves(trouble: str) -> None:
    with launched("serves", "serves", trouble, trouble) as process:
        first, second = serving(process), serving(process)
        os.kill(second, signal.SIGKILL)

        third = serving(process)

        os.kill(first, 0)  # it was left alone
        assert process.poll() is None
        process.terminate()
        assert process.wait(120) == 0
    assert third not in (first, second)


def test_first_worker_that_cannot_start_ends_it_all_with_3() -> None:
    with launched("3") as process:
        assert process.wait(120) == 3


def test_first_worker_that_cannot_be_forked_is_tried_again() -> None:
    with launched("none", "none") as process:
        assert serving(process) != serving(process)


def test_event_loop_that_turns_no_more_is_noticed() -> None:
    worker = Worker()
    assert not worker.is_hung(0.0)
    worker.start(ends_with(0))
    assert worker.process
    assert not worker.is_hung(0.0), "it has not begun"
    worker.process.wait()
    worker.listen()
    assert worker.began
    until(lambda: worker.is_hung(0.0), "silence")

    assert worker.reap() == 0
    assert not worker.is_hung(0.0), "nobody is there"
