"""Divide the cores between server and client; without pinning, report that none is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

BUSY_LOAD = 0.5


@dataclass(frozen=True)
class Cores:
    """The division of the machine.

    Attributes:
        server: cores of a server of one process.
        client: cores of the client; the same if there is only one.
        workers: cores of a server of two processes, shared with the client if there are fewer than three.
    """

    server: frozenset[int]
    client: frozenset[int]
    workers: frozenset[int]

    @property
    def shared(self) -> bool:
        """Return whether client and server share their core."""
        return self.server == self.client


def divide(available: frozenset[int]) -> Cores:
    """Give the first core to the server, the second to the client, and two to a server of two workers."""
    cores = sorted(available)
    client = cores[-1] if len(cores) > 2 else cores[min(1, len(cores) - 1)]
    return Cores(frozenset(cores[:1]), frozenset([client]), frozenset(cores[:2]))


def available() -> frozenset[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def pin(cores: frozenset[int]) -> None:
    """Keep this thread, and the processes that it starts from now on, on these cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Start processes on other cores than one's own: a child inherits the cores of the thread that starts it."""
    before = available()
    pin(cores)
    try:
        yield
    finally:
        pin(before)


def load_average() -> float:
    """Return how many processes wanted to run in the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
