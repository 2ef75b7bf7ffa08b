"""Measure the cost of an attack on the service: memory, open files, connections."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import httpx

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


def in_progress(client: httpx.Client) -> float:
    """Return the number of requests in flight, including this one."""
    found = re.search(r"^tabserve_http_requests_in_progress (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def waiting(client: httpx.Client) -> float:
    """Return the number of requests that wait for their client or for a training."""
    found = re.search(r"^tabserve_http_requests_waiting (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


class Asking:
    """Consecutive requests in a thread beside other work; each must be answered correctly."""

    def __init__(self, ask: Callable[[], bool], pause_s: float = 0.005) -> None:
        """`ask` sends one request and returns whether its response was right."""
        self._ask = ask
        self._pause_s = pause_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.took_s: list[float] = []
        self.wrong = 0

    def _run(self) -> None:
        while not self._done.is_set():
            began = time.perf_counter()
            try:
                self.wrong += not self._ask()
            except (OSError, EOFError):
                self.wrong += 1
            self.took_s.append(time.perf_counter() - began)
            self._done.wait(self._pause_s)

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
