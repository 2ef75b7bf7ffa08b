"""Read rows of cells and write outputs as raw little-endian float32, row after row.

This module must not know HTTP or torch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.errors import MalformedBody, Problem, ServingError, wrong_field
from app.inference.additions.added import AddedOutputs
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS, BINARY_PIECE_BYTES, RowBlock, RowByRow
from app.inference.codecs.rows import converter_for
from app.inference.predictions import Predictions
from app.schema import ModelSchema

CONTENT_TYPE = "application/vnd.tabserve.float32"

_LITTLE_ENDIAN = np.dtype("<f4")


class Float32Reader:
    """Read (N, W) cells, row-major; the number of rows follows from the number of bytes.

    A number is itself, a category its code, a boolean 0 or 1, a date two cells; NaN is missing.
    """

    unit = "row"
    piece_bytes = BINARY_PIECE_BYTES
    blank_lines = 0

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._row_bytes = 4 * schema.width
        self._rest = b""
        self._row = 0

    @property
    def held_bytes(self) -> int:
        """Return the size of the last row, which is not complete."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now."""
        data = self._rest + data if self._rest else data
        whole = len(data) - len(data) % self._row_bytes
        self._rest = data[whole:]
        if whole:
            yield self._block(np.frombuffer(data, dtype=_LITTLE_ENDIAN, count=whole // 4))

    def finish(self) -> Iterator[RowBlock]:
        """Check that the last row is complete.

        Raises:
            MalformedBody: if the body is empty or ends within a row.
        """
        if self._rest or not self._row:
            expected = f"{self._schema.width} float32 values ({self._row_bytes} bytes) per row"
            came = f"ends {len(self._rest)} bytes into row {self._row}" if self._rest else "is empty"
            raise MalformedBody(f"the body {came}; {self._schema.name} expects {expected}")
        return iter(())

    def _block(self, values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> RowBlock:
        x = values.astype(np.float32).reshape(-1, self._schema.width)  # (N, W)
        first, self._row = self._row, self._row + len(x)
        return RowBlock(x, first, converter_for(self._schema).clear_bad_rows(x, first))


class Float32Writer(RowByRow):
    """Write (N, K) outputs, row-major, classes in the model's order; a skipped row is all NaN."""

    content_type = CONTENT_TYPE
    block_rows = BINARY_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        """Create a writer.

        Raises:
            InvalidInput: if the request wants additional answers, for which the format has no place.
        """
        if added:
            problem = f"holds no {added[-1].name}; ask for another format with Accept, such as text/csv"
            raise wrong_field("Accept", problem, f"an answer as {CONTENT_TYPE}")
        self._outputs = schema.outputs

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        return predictions.outputs.astype(_LITTLE_ENDIAN, copy=False).tobytes()

    def numbered_row(self, _number: int, predictions: Predictions | None, _problem: Problem | None) -> bytes:
        """Return one row, NaN if it has no answer. No row numbers: the output has one row per input row."""
        return self.rows(predictions) if predictions else np.full(self._outputs, np.nan, dtype=_LITTLE_ENDIAN).tobytes()

    def failure(self, _error: ServingError) -> bytes:
        """Return nothing: the connection is closed, and the log has the reason."""
        return b""
