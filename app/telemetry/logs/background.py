"""Write log lines in a background thread, so that a slow or dead reader blocks nothing.

Lines that do not fit into the queue are counted, and the count is logged as soon as there is room. This module must not
know the content of lines.
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
    """Write records in the background; synchronously before `start` and in forked processes, which have no thread."""

    def __init__(self, descriptor: int = STDERR, max_waiting: int = MAX_WAITING) -> None:
        """Create a handler that writes synchronously, and later keeps at most `max_waiting` lines."""
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes] = queue.Queue(max_waiting)
        self._counting = threading.Lock()  # not the handler's lock, which is held during the last flush
        self._dropped = 0
        self._process: int | None = None

    def start(self) -> None:
        """Write in the background from now on."""
        self._process = os.getpid()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record for writing."""
        try:
            line = self._line(record)
            if self._process == os.getpid():
                self._waiting.put_nowait(line)
            else:
                self._write(line)
        except Exception:  # a record that cannot be written must not harm the code that logs it
            self._drop()

    def flush(self) -> None:
        """Wait until all lines are written, for at most FLUSH_S."""
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
            text = "log records were lost: they were not read in time"
            said = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "lost": dropped}
            try:
                self._write(self._line(logging.makeLogRecord(said)))
            except OSError:
                self._drop(dropped)

    def _drop(self, lines: int = 1) -> None:
        with self._counting:
            self._dropped += lines

    def _write(self, line: bytes) -> None:
        """Write a whole line, however long that takes."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # another process that shares the descriptor made it non-blocking
                select.select((), (self._descriptor,), ())
