"""Writes lines to standard error by a thread of its own: a reader that is slow, stuck or gone holds nobody up.

Lines that find no room are counted, and the count is written as soon as there is room. It must not know what lines say.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading

MAX_WAITING = 10_000
FLUSH_S = 1.0
STDERR = 2


class BackgroundHandler(logging.Handler):
    """Writes records; at once until `start`, and in processes that are forked from this one, which have no thread."""

    def __init__(self, descriptor: int = STDERR, max_waiting: int = MAX_WAITING) -> None:
        """Store the parts.

        Args:
            descriptor: of the open file to write to.
            max_waiting: how many lines may wait.
        """
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes] = queue.Queue(max_waiting)
        self._counting = threading.Lock()  # not the handler's, which is held while it is flushed for the last time
        self._dropped = 0
        self._process: int | None = None

    def start(self) -> None:
        """Write in the background from now on."""
        self._process = os.getpid()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; it is written soon."""
        try:
            line = self._line(record)
            if self._process == os.getpid():
                self._waiting.put_nowait(line)
            else:
                self._write(line)
        except Exception:  # a record that cannot be written must not hurt whoever made it
            self._drop()

    def flush(self) -> None:
        """Wait until all is written, but not for long."""
        if self._process == os.getpid():
            done = self._waiting.all_tasks_done
            with done:
                done.wait_for(lambda: not self._waiting.unfinished_tasks, FLUSH_S)

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write_all(self) -> None:
        while True:
            line = self._waiting.get()
            try:
                self._write(line)
                self._say_what_was_dropped()
            except OSError:
                self._drop()
            finally:
                self._waiting.task_done()

    def _say_what_was_dropped(self) -> None:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            text = "log records were lost: nobody took them"
            said = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "lost": dropped}
            try:
                self._write(self._line(logging.makeLogRecord(said)))
            except OSError:
                self._drop(dropped)

    def _drop(self, lines: int = 1) -> None:
        with self._counting:
            self._dropped += lines

    def _write(self, line: bytes) -> None:
        """Write a line, however long that takes."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # somebody who shares it made it so
                select.select((), (self._descriptor,), ())
