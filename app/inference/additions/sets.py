"""Answer sets of classes, or intervals, that hold the truth of a chosen share of rows.

This module must not know HTTP or any body format but JSON, whose fields it writes. N is rows and K classes everywhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from app.context import require_wanted
from app.errors import wrong_field
from app.inference.additions.added import Added, AddedOutput, AddedOutputs
from app.inference.additions.addition import Addition
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema
from modelstore import Conformal
from modelstore.conformal import rows_for
from modelstore.trust import Spread

STEP_ROWS = 1024  # written in some half a millisecond, after which other requests run
BETWEEN = "|"

_NO_ROWS = "has no scores of held-out rows, from which sets follow; train the model again"


class Levels:
    """Limits and guarantees at any level, from the scores of a version's held-out rows."""

    def __init__(self, schema: ModelSchema, conformal: Conformal | None) -> None:
        self.schema = schema
        self._conformal = conformal

    def require(self, field: str) -> Conformal:
        """Return the scores.

        Raises:
            InvalidInput: if the version has none; names the field of the request that needs them.
        """
        if self._conformal is None:
            title = f"version {self.schema.version} of {self.schema.name}"
            raise wrong_field(field, f"{title} {_NO_ROWS}")
        return self._conformal

    def limits(self, level: float, field: str) -> list[float]:
        """Return the largest score that is admitted of each class, K, or of a quantity, 1; infinity if all are."""
        return self.require(field).limits(self.schema.classes or ("value",), level)

    def facts(self, level: float, field: str) -> tuple[tuple[str, str], ...]:
        """Return the guarantee of a level and, where rows are too few for it, the reason why nothing is left out."""
        conformal, limits = self.require(field), self.limits(level, field)
        guarantee = ("guarantee", conformal.guarantee)
        lost = [place for place, limit in enumerate(limits) if math.isinf(limit)]
        if not lost:
            return (guarantee,)
        needed = f"fewer than the {rows_for(level):,} that a confidence of {level:g} needs"
        if conformal.per_class is not None:
            names = ", ".join(self.schema.classes[place] for place in lost)
            return guarantee, ("reason", f"every set holds {names}: scores of {needed} are known for each of these")
        whole = "every set holds all classes" if self.schema.classes else "every interval is unbounded"
        return guarantee, ("reason", f"{whole}: scores of {conformal.rows:,} rows are known, {needed}")


class Sets(Addition):
    """Answer a set of classes for each row: those whose score is admitted. It may be empty.

    Attributes:
        outputs: what is answered: the classes of the set, joined by `|`; a backslash stands before one in a name.
    """

    def __init__(self, levels: Levels, level: float, field: str = "confidence") -> None:
        """Check that the version has scores; `field` is the name of the level in the request.

        Raises:
            InvalidInput: if it has none.
        """
        self._schema = levels.schema
        self._limits = np.array(levels.limits(level, field))
        self.outputs: AddedOutputs = (AddedOutput("set", ("set",), True, levels.facts(level, field)),)

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return the sets."""
        texts = np.full((predictions.rows, 1), None, dtype=object)
        fields = [b""] * predictions.rows
        written: dict[bytes, tuple[bytes, str]] = {}  # of each set that occurs
        async for part in steps(predictions.rows):
            members = choose_classes(predictions.outputs[part], self._limits)
            for row, packed in enumerate(np.packbits(members, axis=1), start=part.start):
                key = packed.tobytes()
                if key not in written:
                    written[key] = self._write(members[row - part.start])
                fields[row], texts[row, 0] = written[key]
        return Added(fields, [texts])

    def _write(self, members: NDArray[np.bool_]) -> tuple[bytes, str]:
        """Return a set as a JSON field and as text."""
        names = [name for name, is_member in zip(self._schema.classes, members, strict=True) if is_member]
        escaped = (name.replace("\\", "\\\\").replace(BETWEEN, "\\" + BETWEEN) for name in names)
        return b',"set":' + orjson.dumps(names), BETWEEN.join(escaped)


class Intervals(Addition):
    """Answer an interval for each row: the answer plus and minus a multiple of its spread.

    Attributes:
        outputs: what is answered: the ends of the interval; nothing where it has none, as rows are too few.
    """

    def __init__(self, levels: Levels, level: float, field: str = "confidence") -> None:
        """Check that the version has scores; `field` is the name of the level in the request.

        Raises:
            InvalidInput: if it has none.
        """
        self._spread = levels.require(field).spread
        (self._limit,) = levels.limits(level, field)
        self.outputs: AddedOutputs = (AddedOutput("interval", ("low", "high"), False, levels.facts(level, field)),)

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return the intervals."""
        ends = np.full((predictions.rows, 2), np.nan, dtype=np.float32)
        fields: list[bytes] = []
        async for part in steps(predictions.rows):
            values = predictions.outputs[part, 0].astype(np.float64)
            if math.isfinite(self._limit):
                reach = reach_of(values, self._limit, self._spread)
                with np.errstate(over="ignore"):
                    ends[part] = np.stack([values - reach, values + reach], axis=1)
            text = orjson.dumps(ends[part], option=orjson.OPT_SERIALIZE_NUMPY)
            fields += [b',"interval":[%b]' % one for one in text[2:-2].split(b"],[")]
        return Added(fields, [ends])


def reach_of(values: NDArray[np.float64], limit: float, spread: Spread | None) -> NDArray[np.float64]:
    """Return how far the interval of each value (n,) reaches to either side, (n,): the limit times the spread."""
    if spread is None:
        return np.full(len(values), limit)
    reach: NDArray[np.float64] = limit * np.interp(values, spread.values, spread.spreads)
    return reach


def choose_classes(outputs: Float32, limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which classes are in the set of each row, (N, K): those whose score, 1 less the probability, is admitted.

    Args:
        outputs: probabilities, (N, K).
        limits: largest score that is admitted, of each class, (K,).
    """
    members: NDArray[np.bool_] = 1 - outputs.astype(np.float64) <= limits
    return members


async def steps(rows: int) -> AsyncIterator[slice]:
    """Yield parts of rows, between which other requests run."""
    for start in range(0, rows, STEP_ROWS):
        if start:
            await asyncio.sleep(0)
            require_wanted()
        yield slice(start, min(rows, start + STEP_ROWS))
