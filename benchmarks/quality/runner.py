"""Measure cells, a few at a time, each in a process of its own; findings are kept at once.

It must not know what a system is.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from benchmarks.quality.findings import Cell, Finding, Findings
from benchmarks.store import PROJECT

LIMIT_S = 1800.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Processes:
    """Measures cells in processes, all of which can be ended at once."""

    def __init__(self, threads: int, autogluon: str = "") -> None:
        """Give each process this many threads, and the Python of an environment with AutoGluon."""
        self._more = ["--threads", str(threads), "--autogluon", autogluon]
        self._environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
        self._running = set[subprocess.Popen[str]]()
        self._lock, self._ended = threading.Lock(), False

    def measure(self, cell: Cell) -> Finding:
        """Return the finding of a cell; one with a problem if its process fails or takes half an hour."""
        command = [sys.executable, "-m", "benchmarks.quality.measure", cell.model_dump_json(), *self._more]
        started_s = time.monotonic()
        with self._lock:
            if self._ended:
                return Finding(cell=cell, problem="stopped")
            process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            said, errors = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            return Finding(cell=cell, problem=f"not ready within {LIMIT_S:.0f} s")
        finally:
            self._running.discard(process)
        if process.returncode:
            lines = errors.strip().splitlines() or [f"ended with {process.returncode}"]
            return Finding(cell=cell, problem=lines[-1][:300])
        found = Finding.model_validate_json(said.strip().splitlines()[-1])
        return found.model_copy(update={"whole_s": round(time.monotonic() - started_s, 1)})

    def end(self) -> None:
        """End all running processes, and start no more."""
        with self._lock:
            self._ended = True
            for process in tuple(self._running):
                _kill(process)


def run(
    cells: Sequence[Cell], processes: Processes, findings: Findings, *, jobs: int, say: Callable[[str], None]
) -> None:
    """Measure the cells that have no finding yet, in their order, `jobs` at a time.

    Raises:
        KeyboardInterrupt: if it is stopped; what is found until then is kept.
    """
    waiting = [cell for cell in cells if findings.of(cell) is None]
    say(f"{len(cells) - len(waiting)} of {len(cells)} cells are there")
    done, running = list[Finding](), dict[Future[Finding], Cell]()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.pop(0)
                    running[pool.submit(processes.measure, cell)] = cell
                say(describe(waiting, list(running.values()), done, jobs))
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    done.append(future.result())
                    findings.add(done[-1])
        except BaseException:
            processes.end()  # the pool waits for them
            raise


def describe(waiting: Sequence[Cell], running: Sequence[Cell], done: Sequence[Finding], jobs: int) -> str:
    """Return what is measured now, how much is left, and whether the last finding is a problem."""
    left = [*running, *waiting]
    names = "; ".join(f"{cell.system} on {cell.file}, split {cell.seed}" for cell in running)
    last = "".join(f"; failed: {f.cell.system} on {f.cell.file}: {f.problem}" for f in done[-1:] if f.problem)
    return f"{len(left)} cells left{describe_left(left, done, jobs)}: {names}{last}"


def describe_left(cells: Iterable[Cell], done: Sequence[Finding], jobs: int) -> str:
    """Return about how long cells will take: as long as those of the same system took; empty while none is done."""
    seconds = [found.whole_s for found in done if not found.problem]
    if not seconds:
        return ""
    by_system: dict[str, list[float]] = {}
    for found in done:
        if not found.problem:
            by_system.setdefault(found.cell.system, []).append(found.whole_s)
    expected = [statistics.fmean(by_system.get(cell.system, seconds)) for cell in cells]
    return f", about {sum(expected) / jobs / 60:.0f} min"


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and what it has started."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        return
