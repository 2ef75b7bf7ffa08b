"""Account for the memory that request and response bodies of one process hold.

The number of concurrent requests is limited elsewhere, so the first bytes of each are free: small requests are served
while large ones are refused. Incomplete bodies can be far more numerous, so their first bytes are counted as well, in
a separate sum. The reservation of a request travels in the context of its task, as its deadline does.
"""

from __future__ import annotations

from contextvars import ContextVar

from app.errors import TooManyBytesHeld

FREE_BYTES = 64 << 10


class Budget:
    """Memory budget shared by all requests of a process.

    Attributes:
        limit_bytes: size of the budget; a single request may exceed it alone, its own limits apply then.
        held_bytes: bytes reserved now.
        begun_bytes: first bytes of incomplete bodies, counted separately; up to `limit_bytes` as well.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.begun_bytes = 0


class Holding:
    """Memory reservation of one request."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._counted = 0
        self._begun = 0

    def receive(self, size_bytes: int) -> None:
        """Reserve `size_bytes` more for a body that is still incomplete.

        Raises:
            TooManyBytesHeld: if the budget has no room for them; the request must end now.
        """
        budget, more = self._budget, min(size_bytes, FREE_BYTES - self._begun)
        if budget.begun_bytes + more > budget.limit_bytes and budget.begun_bytes > self._begun:
            raise TooManyBytesHeld(budget.limit_bytes)
        budget.begun_bytes += more
        self._begun += more
        self.take(size_bytes)

    def received(self) -> None:
        """Mark the body as complete: its first bytes no longer count."""
        self._budget.begun_bytes -= self._begun
        self._begun = 0

    def take(self, size_bytes: int) -> None:
        """Reserve `size_bytes` more of the memory budget.

        Raises:
            TooManyBytesHeld: if other requests leave no room for them; the request must end now.
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
        """Release the whole reservation at the end of the request."""
        self.received()
        self._budget.held_bytes -= self._counted
        self._size = self._counted = 0


HOLDING: ContextVar[Holding | None] = ContextVar("holding", default=None)


def hold(size_bytes: int) -> None:
    """Reserve `size_bytes` for the current request until it ends.

    Raises:
        TooManyBytesHeld: if the budget has no room for them.
    """
    if (holding := HOLDING.get()) is not None:
        holding.take(size_bytes)
