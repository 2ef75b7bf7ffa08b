"""Additional answers to the rows of a block, as every format writes them.

This module must not know any body format, or how the answers are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AddedOutput:
    """A group of additional columns: one output of the Open Inference Protocol, known before the first row.

    Attributes:
        name: name of the output.
        columns: names of its columns in a table.
        is_text: whether its values are texts; else they are float32.
        facts: what holds for all rows of the answer, by name.
    """

    name: str
    columns: tuple[str, ...]
    is_text: bool = False
    facts: tuple[tuple[str, str], ...] = ()


AddedOutputs = tuple[AddedOutput, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """Additional answers to n rows.

    Attributes:
        fields: text of the JSON fields of each row, each field with a comma before it; empty for a row without any.
        values: the values of each output, (n, its columns): float32, NaN where a row has none, or object, with texts
            and None.
    """

    fields: list[bytes]
    values: list[NDArray[Any]]

    def part(self, start: int, stop: int) -> Added:
        """Return the answers to some of the rows."""
        return Added(self.fields[start:stop], [values[start:stop] for values in self.values])

    def columns(self) -> Iterator[NDArray[Any]]:
        """Yield all columns, each of shape (n,)."""
        for values in self.values:
            yield from values.T

    @classmethod
    def join(cls, parts: Sequence[Added]) -> Self:
        """Return several additional answers to the same rows as one."""
        fields = [b"".join(texts) for texts in zip(*(part.fields for part in parts), strict=True)]
        return cls(fields, [values for part in parts for values in part.values])


def column_names(outputs: AddedOutputs) -> list[str]:
    """Return the names of all columns."""
    return [name for output in outputs for name in output.columns]


def facts_of(outputs: AddedOutputs) -> dict[str, str]:
    """Return what holds for all rows of an answer, by name."""
    return {name: text for output in outputs for name, text in output.facts}


def fact_fields(outputs: AddedOutputs) -> bytes:
    """Return what holds for all rows as JSON fields, each with a comma before it."""
    return b"".join(b",%b:%b" % (orjson.dumps(name), orjson.dumps(text)) for name, text in facts_of(outputs).items())


def has_decision(outputs: AddedOutputs) -> bool:
    """Return whether `decision` is the class that was decided, not the policy that chose it, which is a fact then."""
    return any(output.name == "decision" for output in outputs)


def json_of(column: NDArray[Any]) -> bytes:
    """Return a column as a JSON array; null where a row has no value."""
    if column.dtype == object:
        return orjson.dumps(column.tolist())
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)


def texts_of(column: NDArray[Any]) -> list[str]:
    """Return a column as texts: numbers in their shortest digits, and an empty text where a row has no value."""
    if column.dtype == object:
        return ["" if text is None else text for text in column.tolist()]
    return ["" if digits == "null" else digits for digits in json_of(column)[1:-1].decode().split(",")]
