"""Several workers on one listener: started, again if they die, and stopped together; it must not know what they do.

A worker writes a byte a second to a pipe as long as its event loop turns. The kernel wakes this process for signals,
bytes and ends; it looks at nothing but these.
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
CANNOT_START = (1, 2, STARTUP_FAILURE)  # exit codes of a worker that will not do better the next time
STEADY_S = 2.0  # who dies sooner after its start is not started again at once
LASTING_S = 60.0  # who lived so long is forgiven all that was before
BACKOFF_S = (1, 2, 4, 8, 16, 32, 60)
END_S = 4.0  # after the grace: for the app to close, trainings among it

Start = Callable[[int], "subprocess.Popen[bytes]"]
"""Starts a worker that writes to this pipe."""


class Worker:
    """One place among the workers, and the process that fills it now, if any.

    Attributes:
        process: None while it waits to be started.
        pipe: where the signs of life come from.
        due: when to start it.
        began: when the first sign of life came; None before.
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
            OSError: if there is no descriptor, process or memory for it now; it is due again later.
        """
        self.began = None
        try:
            self.pipe, self.process = _started(start)
        except OSError:
            self._put_off()
            raise

    def listen(self) -> None:
        """Take what signs of life there are."""
        with contextlib.suppress(BlockingIOError):
            if os.read(self.pipe, 1 << 12):
                self._heard = time.monotonic()
                self.began = self.began or self._heard

    def is_hung(self, silent_s: float) -> bool:
        """Tell whether it once lived and now is silent for so long."""
        return self.process is not None and self.began is not None and time.monotonic() - self._heard > silent_s

    def ended(self) -> int | None:
        """Return the exit code if the process has ended, and arrange when to start the next."""
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


def _started(start: Start) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a process; return where its signs of life come from, and it."""
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
    """See the module."""

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
        """Store the parts.

        Args:
            start: starts one worker.
            workers: how many there are to be.
            first_serves: called when the first one serves; only then the others are started, so that what stops one
                from starting is said once.
            refuse: ends that new connections can be made, and lets go of the listener.
            drain_s: how long the workers serve on after SIGTERM.
            grace_s: how long they may take to finish after that.
            silent_s: how long an event loop that turns says nothing at most.
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
        """Keep the workers running until a signal comes or the first cannot start; return the exit code."""
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
            select.select([signals.fileno(), *pipes], [], [], self._wait_s())

    def _obey(self, number: int) -> None:
        """Stop at the first signal; kill all at the second."""
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
            worker.send(number if worker.began else signal.SIGKILL)  # who never served has nothing to finish

    def _bury(self) -> None:
        """Look who has ended; if the very first cannot start, all stop, for so would be the next."""
        for worker in self._workers:
            if (code := worker.ended()) is None or self._stopping:
                continue
            if code in CANNOT_START and not (self._one_served or worker.began):
                self._stop(signal.SIGTERM, STARTUP_FAILURE)  # it has said why
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
        """Hear the workers, start those that are due, and kill those that are hung."""
        for worker in self._workers:
            if worker.process:
                worker.listen()
            if worker.is_hung(self._silent_s):
                logger.error("a worker was silent for %g s and is killed", self._silent_s)
                worker.send(signal.SIGKILL)
        if not self._one_served and any(worker.began for worker in self._workers):
            self._one_served = True
            self._first_serves()
        for worker in self._startable():
            if not worker.process and time.monotonic() >= worker.due:
                try:
                    worker.start(self._start)
                except OSError as error:  # this process must outlive it, for the sake of the workers that serve
                    logger.error("a worker cannot be started now, it is tried again: %s", error)

    def _startable(self) -> list[Worker]:
        return self._workers if self._one_served else self._workers[:1]

    def _wait_s(self) -> float:
        """Return how long nothing needs to be done unless something happens."""
        times = [self._refuse_at, self._kill_at] if self._stopping else [time.monotonic() + self._silent_s]
        times += [worker.due for worker in self._startable() if not worker.process and not self._stopping]
        return max(0.0, min(times) - time.monotonic())
