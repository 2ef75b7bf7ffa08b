"""Start several workers on one listener, restart those that die, and stop them together.

A worker writes a byte a second to a pipe as long as its event loop runs. This process wakes only for signals, bytes on
a pipe, ended workers and its own deadlines. It must not know what the workers do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable

from app.lifecycle import DEVICE_LOST
from app.server.signals import SIGNALLED, NotedSignals

logger = logging.getLogger(__name__)

STARTUP_FAILURE = 3
CANNOT_START = (1, 2, STARTUP_FAILURE)  # exit codes of a worker that would fail again at the next start
STEADY_S = 2.0  # a worker that dies sooner than this is restarted with a delay
LASTING_S = 60.0  # after living longer than this, a worker's earlier deaths no longer count for the delay
BACKOFF_S = (1, 2, 4, 8, 16, 32, 60)
END_S = 4.0  # after the grace period, for the app to close and end its trainings
LOOKS = 4  # at least so many in the longest silence

Start = Callable[[int], "subprocess.Popen[bytes]"]
"""Start a worker that writes its heartbeats to this pipe."""


class Worker:
    """One worker slot and the process that currently fills it, if any.

    Attributes:
        process: the running process; None while the slot waits for a start.
        pipe: descriptor from which heartbeats are read.
        due: earliest time of the next start, on the monotonic clock.
        began: time of the first heartbeat; None before it.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe = -1
        self.due = 0.0
        self.began: float | None = None
        self._heard = 0.0
        self._deaths = 0

    def start(self, start: Start) -> None:
        """Start the process.

        Raises:
            OSError: if the system lacks a descriptor, a process or memory for it; a later start is scheduled.
        """
        self.began = None
        try:
            self.pipe, self.process = _start_process(start)
        except OSError:
            self._put_off()
            raise

    def listen(self) -> None:
        """Read the pending heartbeats."""
        with contextlib.suppress(BlockingIOError):
            if os.read(self.pipe, 1 << 12):
                self._heard = time.monotonic()
                self.began = self.began or self._heard

    def excuse(self, seconds: float) -> None:
        """Do not count so many seconds as silence."""
        self._heard += seconds

    def is_hung(self, silent_s: float) -> bool:
        """Tell whether the worker has sent heartbeats and has now been silent for longer than `silent_s`."""
        return self.process is not None and self.began is not None and time.monotonic() - self._heard > silent_s

    def reap(self) -> int | None:
        """Return the exit code if the process has ended, and schedule the next start."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.listen()
        self.process = None
        os.close(self.pipe)
        lived_s = time.monotonic() - self.began if self.began else 0.0
        if lived_s > LASTING_S:
            self._deaths = 0
        self.due = time.monotonic()
        if code == DEVICE_LOST or lived_s < STEADY_S:
            self._put_off()
        return code

    def send(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        if self.process is not None:
            self.process.send_signal(number)

    def _put_off(self) -> None:
        self.due = time.monotonic() + BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)]
        self._deaths += 1


def _start_process(start: Start) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a process; return the descriptor of its heartbeats and the process."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        return reader, start(writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)


class Supervisor:
    """Keep several workers running; see the module docstring."""

    def __init__(
        self,
        start: Start,
        workers: int,
        *,
        first_serves: Callable[[], None],
        refuse: Callable[[], None],
        drain_s: float,
        grace_s: float,
        silent_s: float,
    ) -> None:
        """Create the worker slots; `run` starts the processes.

        Args:
            start: starts one worker.
            workers: number of workers.
            first_serves: called when the first worker serves; only then are the others started, so that a fault that
                prevents every start is reported once.
            refuse: refuses new connections and closes the listener.
            drain_s: how long the workers go on serving after SIGTERM.
            grace_s: how long they may take to finish after that.
            silent_s: longest silence between two heartbeats before a worker counts as hung.
        """
        self._start = start
        self._workers = [Worker() for _ in range(workers)]
        self._first_serves = first_serves
        self._refuse = refuse
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._silent_s = silent_s
        self._one_served = False
        self._stopping = False
        self._code = 0
        self._refuse_at = float("inf")
        self._kill_at = float("inf")

    def run(self, signals: NotedSignals) -> int:
        """Keep the workers running until a stop signal or a failed first start; return the exit code."""
        while True:
            for number in signals.take():
                self._obey(number)
            self._bury()
            if self._stopping and not any(worker.process for worker in self._workers):
                return self._code
            if self._stopping:
                self._hurry()
            else:
                self._keep_up()
            pipes = [worker.pipe for worker in self._workers if worker.process]
            self._wait([signals.fileno(), *pipes])

    def _obey(self, number: int) -> None:
        """Stop the workers at the first signal; kill them at the second."""
        if self._stopping:
            self._code = SIGNALLED + number
            self._kill_at = 0.0
        else:
            logger.info("signal %d: all workers are stopped", number)
            self._stop(number, 0)

    def _stop(self, number: int, code: int) -> None:
        self._stopping, self._code = True, code
        self._refuse_at = time.monotonic() + (0.0 if number == signal.SIGINT else self._drain_s)
        self._kill_at = self._refuse_at + self._grace_s + END_S
        for worker in self._workers:
            worker.send(number if worker.began else signal.SIGKILL)  # a worker that never served has nothing to finish

    def _bury(self) -> None:
        """Handle ended workers; if the very first cannot start, stop all, because the others would fail, too."""
        for worker in self._workers:
            if (code := worker.reap()) is None or self._stopping:
                continue
            if code in CANNOT_START and not (self._one_served or worker.began):
                self._stop(signal.SIGTERM, STARTUP_FAILURE)  # the worker has printed the reason
            else:
                logger.error("a worker ended with %s", f"signal {-code}" if code < 0 else f"exit code {code}")

    def _hurry(self) -> None:
        now = time.monotonic()
        if now >= self._refuse_at:
            self._refuse_at = float("inf")
            self._refuse()
        if now >= self._kill_at:
            for worker in self._workers:
                worker.send(signal.SIGKILL)

    def _keep_up(self) -> None:
        """Read heartbeats, start workers that are due, and kill workers that hang."""
        for worker in self._workers:
            if worker.process:
                worker.listen()
            if worker.is_hung(self._silent_s):
                logger.error("a worker was silent for %g s and is killed", self._silent_s)
                worker.send(signal.SIGKILL)
        if not self._one_served and any(worker.began for worker in self._workers):
            self._one_served = True
            self._first_serves()
        for worker in self._list_startable():
            if not worker.process and time.monotonic() >= worker.due:
                try:
                    worker.start(self._start)
                except OSError as error:  # the other workers still serve, so this process must go on
                    logger.error("a worker cannot be started now, it is tried again: %s", error)

    def _list_startable(self) -> list[Worker]:
        return self._workers if self._one_served else self._workers[:1]

    def _wait(self, descriptors: list[int]) -> None:
        """Wait for one to be readable, or the next deadline.

        If that takes much longer than it may, this process was suspended, as all are on a machine that sleeps, and the
        workers were silent for that reason.
        """
        began = time.monotonic()
        select.select(descriptors, [], [], self._wait_s())
        waited_s = time.monotonic() - began
        if waited_s > 2 * self._silent_s / LOOKS:
            for worker in self._workers:
                worker.excuse(waited_s)

    def _wait_s(self) -> float:
        """Return the seconds until the next deadline, or 0 if one has passed."""
        times = [self._refuse_at, self._kill_at] if self._stopping else [time.monotonic() + self._silent_s / LOOKS]
        times += [worker.due for worker in self._list_startable() if not worker.process and not self._stopping]
        return max(0.0, min(times) - time.monotonic())
