"""Convert texts and truth values to codes: of a category, or 0 and 1.

This module must not know how a format arranges its values, nor HTTP or torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.inference.codecs.columns import NAN, OUT_OF_RANGE, Cells, convert_one_by_one, json_type
from app.inference.codecs.strict_json import require_digits
from app.schema import Float32, ModelSchema
from modelstore import BooleanFeature, CategoricalFeature

_WHOLE = re.compile(r"-?\d+", re.ASCII)


class _KnownValues:
    """Look up values in a table; a value that is not in it is converted on its own.

    Attributes:
        table: cell of each known value. Of numbers, only 0 and 1 may be keys, as they are equal to false and true.
    """

    width = 1
    whole = True
    least: Cells = (0.0,)
    most: Cells
    expected: str

    def __init__(self, table: dict[object, float]) -> None:
        self.table = table

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        raise NotImplementedError

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text, or what is wrong with it."""
        raise NotImplementedError

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, 1); None if any is invalid."""
        return self._look_up(values, self.cell)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 1); None if any is invalid."""
        return self._look_up(texts, self.cell_of_text)

    def _look_up(self, values: Sequence[Any], convert: Any) -> Float32 | None:
        try:
            found = list(map(self.table.get, values))
        except TypeError:  # arrays and objects have no hash
            return convert_one_by_one(convert, values, 1)
        if None in found:
            for place, cell in enumerate(found):
                if cell is None:
                    judged = convert(values[place])
                    if isinstance(judged, str):
                        return None
                    (found[place],) = judged
        return np.array(found, dtype=np.float32).reshape(-1, 1)


class CategoryConverter(_KnownValues):
    """A text is the code of its category; a value that is no category has the code after the last.

    All digits of a number matter, so its methods raise DigitsLost for a float that may lack some.
    """

    def __init__(self, feature: CategoricalFeature, schema: ModelSchema) -> None:
        known: dict[object, float] = {None: NAN, **dict.fromkeys(schema.missing_values, NAN)}
        codes = {category: float(code) for code, category in enumerate(feature.categories)}
        super().__init__(known | {same: code for text, code in codes.items() for same in _same(text)} | codes)
        self._other = float(len(codes))
        self.most = (self._other,)
        self.expected = f"must be a code from 0 to {len(codes)} or missing"

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if isinstance(value, str):
            return self.cell_of_text(value)
        if value is None:
            return (NAN,)
        if isinstance(value, bool):
            return self.cell_of_text("true" if value else "false")
        if isinstance(value, int | float):
            if not math.isfinite(value):
                return OUT_OF_RANGE
            require_digits(value)
            return self.cell_of_text(_digits(value))
        return f"must be a text, a number, true, false or null, got {json_type(value)}"

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text; every text is valid."""
        return (self.table.get(text.strip(), self._other),)


class BooleanConverter(_KnownValues):
    """One of two values, as in the training file or as JSON has them."""

    most: Cells = (1.0,)
    expected = "must be 0, 1 or missing"

    def __init__(self, feature: BooleanFeature, schema: ModelSchema) -> None:
        words = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
        words |= {text.casefold(): 0.0 for text in feature.false_values}
        words |= {text.casefold(): 1.0 for text in feature.true_values}
        missing: dict[object, float] = dict.fromkeys(schema.missing_values, NAN)
        as_written: dict[object, float] = dict.fromkeys(feature.false_values, 0.0)
        as_written |= dict.fromkeys(feature.true_values, 1.0)
        super().__init__({True: 1.0, False: 0.0, None: NAN} | missing | as_written)
        self._words = words
        self._must = f"must be {feature.true_values[0]} or {feature.false_values[0]} (or true, false, null)"

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if isinstance(value, str):
            return self.cell_of_text(value)
        if value is None or (isinstance(value, int | float) and value in (0, 1)):
            return (self.table[value],)
        return f"{self._must}, got {'another number' if isinstance(value, int | float) else json_type(value)}"

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text, or what is wrong with it."""
        stripped = text.strip()
        found = self.table.get(stripped)
        if found is None:
            found = self._words.get(stripped.casefold())
        return f"{self._must}, got {'other text' if stripped else 'an empty field'}" if found is None else (found,)


def _digits(value: float) -> str:
    """Return a number as a category: 2.0 is `2`."""
    return str(int(value)) if value == int(value) else repr(value)


def _same(text: str) -> tuple[str, ...]:
    """Return other texts for the same number or truth value: pandas writes 2.0 for 2 in a column with gaps."""
    if _WHOLE.fullmatch(text):
        return (f"{text}.0",)
    if text.endswith(".0") and _WHOLE.fullmatch(text[:-2]):
        return (text[:-2],)
    return (text.lower(),) if text.lower() in ("true", "false") else ()
