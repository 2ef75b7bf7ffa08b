"""Measure the cost of an attack on the service: memory, open files, connections."""

from __future__ import annotations

import re
import statistics
import threading
import time
from pathlib import Path
from types import TracebackType

from tests.app.sockets import Connection
from tests.app.waiting import until


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return _status_bytes(pid, "VmRSS")


def _status_bytes(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+([0-9]+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def reset_peak(pid: int) -> None:
    """Reset the peak of a process's memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """Return the peak resident memory of a process."""
    return _status_bytes(pid, "VmHWM")


def open_files(pid: int) -> int:
    """Return the number of open files and sockets of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def inspector_of(pid: int) -> int | None:
    """Return the process in which a service is ready to check the next data set, if it runs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if Path(f"/proc/{child}/cmdline").read_bytes().endswith(b"\0training\0wait\0"):
                return int(child)
    return None


def threads_of(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def serves(connection: Connection, message: bytes) -> bool:
    """Send a request, and return whether it is answered 200."""
    connection.send(message)
    return connection.answer().status == 200


class Asking:
    """One request again and again on a connection, in a thread beside other work; each must be answered 200."""

    def __init__(self, connection: Connection, message: bytes) -> None:
        self._connection, self._message = connection, message
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.took_s: list[float] = []
        self.wrong = 0

    def _run(self) -> None:
        while not self._done.is_set():
            began = time.perf_counter()
            try:
                self.wrong += not serves(self._connection, self._message)
            except (OSError, EOFError):
                self.wrong += 1
            self.took_s.append(time.perf_counter() - began)
            self._done.wait(0.005)

    def go_on(self, answers: int) -> None:
        """Wait for this number of further responses."""
        enough = len(self.took_s) + answers
        until(lambda: len(self.took_s) >= enough, f"{answers} more answers")

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile of the response times."""
        return statistics.quantiles(self.took_s, n=100)[98] * 1000

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
