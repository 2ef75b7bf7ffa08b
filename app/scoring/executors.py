"""Let parts be scored: in this process, or in several that each use one core.

Results come in the order of the parts. This module must not know what a part is.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator

from app.scoring.errors import ScoringError
from app.scoring.part_files import FinishedPart
from app.scoring.parts import Part
from app.scoring.scorer import Scorer, Setup, score_part

_AHEAD = 2  # parts of each process that wait, so that none is idle


def score_here(scorer: Scorer, parts: Iterable[Part]) -> Iterator[tuple[Part, FinishedPart]]:
    """Yield parts as they are finished by this process.

    Raises:
        ScoringError.
    """
    for part in parts:
        yield part, scorer.score(part)


def score_in_processes(setup: Setup, parts: Iterable[Part], processes: int) -> Iterator[tuple[Part, FinishedPart]]:
    """Yield parts as they are finished by several processes, in order.

    Raises:
        ScoringError.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _end_with_parent) as pool:
        waiting: deque[tuple[Part, concurrent.futures.Future[FinishedPart]]] = deque()
        try:
            for part in parts:
                waiting.append((part, pool.submit(score_part, setup, part)))
                if len(waiting) >= _AHEAD * processes:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        except concurrent.futures.BrokenExecutor as error:
            raise ScoringError("a process ended, perhaps for lack of memory; start again to go on") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _first(waiting: deque[tuple[Part, concurrent.futures.Future[FinishedPart]]]) -> tuple[Part, FinishedPart]:
    part, future = waiting.popleft()
    return part, future.result()


def _end_with_parent() -> None:
    """Have this process end when its parent does, which may be killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        """End the process as soon as its parent has ended."""
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
