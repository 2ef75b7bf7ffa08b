"""How many bytes the requests of one process hold in memory, bodies and answers, and when that is too much; no HTTP.

How many requests there are is bounded elsewhere, so the first bytes of each are free: small requests go on while large
ones are refused. What a request holds travels in the context of its task, as its patience does.
"""

from __future__ import annotations

from contextvars import ContextVar

from app.errors import TooManyBytesHeld

FREE_BYTES = 64 << 10


class Budget:
    """What all requests of a process hold together.

    Attributes:
        limit_bytes: how much that may be; a request that alone holds more is bounded by limits of its own.
        held_bytes: how much it is.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0


class Holding:
    """What one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._counted = 0

    def take(self, size_bytes: int) -> None:
        """Hold so many bytes more.

        Raises:
            TooManyBytesHeld: if others hold so many that there is no room for them; the request must end now.
        """
        self._size += size_bytes
        more = self._size - FREE_BYTES - self._counted
        if more <= 0:
            return
        budget = self._budget
        if budget.held_bytes + more > budget.limit_bytes and budget.held_bytes > self._counted:
            raise TooManyBytesHeld(budget.limit_bytes)
        budget.held_bytes += more
        self._counted += more

    def give_back(self) -> None:
        """Hold nothing any more, since the request has ended."""
        self._budget.held_bytes -= self._counted
        self._size = self._counted = 0


HOLDING: ContextVar[Holding | None] = ContextVar("holding", default=None)


def hold(size_bytes: int) -> None:
    """Count bytes that the present request holds from now on to its end.

    Raises:
        TooManyBytesHeld: if there is no room for them.
    """
    if (holding := HOLDING.get()) is not None:
        holding.take(size_bytes)
