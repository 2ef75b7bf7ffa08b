"""The base class of what can be added to the usual answer.

This module must not know any body format, or any kind of addition.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

from app.inference.additions.added import Added, AddedOutputs
from app.inference.predictions import Predictions


class Addition(abc.ABC):
    """Computes one kind of additional answers for the rows of a request.

    Attributes:
        outputs: what is answered, known before the first row.
        limits_rows: whether `expect` may refuse a request for its number of rows.
    """

    outputs: AddedOutputs
    limits_rows = False

    def expect(self, rows: int) -> None:
        """Refuse a request by its number of rows, as far as they are read, before any is computed.

        Raises:
            ServingError.
        """
        return

    @abc.abstractmethod
    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return the answers to the rows of a block, of which only those at these positions are needed.

        Raises:
            ServingError.
        """

    async def finish(self) -> None:
        """Keep what is to be kept of the rows that were answered, once none of them can be refused any more.

        Raises:
            ServingError.
        """
        return
