"""How many bytes the requests of one process hold in memory, bodies and answers, and when that is too much; no HTTP.

How many requests are answered at a time is bounded elsewhere, so the first bytes of each are free: small requests go on
while large ones are refused. Of bodies that are not whole yet there may be many more, so their first bytes count, apart
from the others. What a request holds travels in the context of its task, as its patience does.
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
        begun_bytes: how much the first bytes of bodies are that are not whole yet; they may be as many again.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.begun_bytes = 0


class Holding:
    """What one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._counted = 0
        self._begun = 0

    def receive(self, size_bytes: int) -> None:
        """Hold so many bytes more of a body of which more must come.

        Raises:
            TooManyBytesHeld: if there is no room for them; the request must end now.
        """
        budget, more = self._budget, min(size_bytes, FREE_BYTES - self._begun)
        if budget.begun_bytes + more > budget.limit_bytes and budget.begun_bytes > self._begun:
            raise TooManyBytesHeld(budget.limit_bytes)
        budget.begun_bytes += more
        self._begun += more
        self.take(size_bytes)

    def received(self) -> None:
        """Note that the body is whole: its first bytes are free from now on."""
        self._budget.begun_bytes -= self._begun
        self._begun = 0

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
        self.received()
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
