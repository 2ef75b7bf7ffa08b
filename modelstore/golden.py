"""Golden rows: rows in a manifest that prove that a loaded model answers as trained.

It must not know models or the disk. G is golden rows, W cells of a row and K outputs.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from modelstore.records import Finite, Record
from modelstore.trust import Cells

MIN_GOLDEN_ROWS = 32
MIN_WIDE_GOLDEN_ROWS = 3
MAX_GOLDEN_VALUES = 1 << 15  # cells and outputs together; more prove nothing new and slow every start
LOOSEST = 1e-3  # tolerance of golden probabilities; a quantity's depends on its scale


class GoldenRows(Record):
    """Rows of cells and what the eager training-side model answered for them.

    Attributes:
        features: (G, W) cells, each exactly representable in float32; None for NaN.
        outputs: (G, K) probabilities, or (G, 1) values, from the eager model.
        tolerance: largest absolute difference that a faithful copy of the model may show.
    """

    features: tuple[Cells, ...]
    outputs: tuple[tuple[Finite, ...], ...]
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5

    def require_shape(self, cells: int, outputs: int) -> None:
        """Require enough rows of that many cells and outputs.

        Raises:
            ValueError.
        """
        least, _ = golden_row_limits(cells, outputs)
        if len(self.features) != len(self.outputs) or len(self.features) < least:
            raise ValueError(f"at least {least} golden rows with as many answers are needed")
        if {len(row) for row in self.features} != {cells}:
            raise ValueError(f"each golden row needs {cells} cells")
        if {len(row) for row in self.outputs} != {outputs}:
            raise ValueError(f"each golden answer needs {outputs} outputs")

    def require_probabilities(self) -> None:
        """Require that the outputs are probabilities, held to a tolerance that fits them.

        Raises:
            ValueError.
        """
        if not all(0 <= value <= 1 for row in self.outputs for value in row):
            raise ValueError("golden answers must be probabilities, 0 to 1")
        if not all(math.isclose(sum(row), 1, abs_tol=1e-5) for row in self.outputs):
            raise ValueError("each golden answer must sum to 1")
        if self.tolerance > LOOSEST:
            raise ValueError(f"the golden tolerance must be at most {LOOSEST}")


def golden_row_limits(cells: int, outputs: int) -> tuple[int, int]:
    """Return how many golden rows a manifest needs, and how many are enough; both are smaller for very wide rows."""
    enough = MAX_GOLDEN_VALUES // (cells + outputs)
    return max(MIN_WIDE_GOLDEN_ROWS, min(MIN_GOLDEN_ROWS, enough)), max(MIN_WIDE_GOLDEN_ROWS, enough)
