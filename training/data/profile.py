"""Profile a column over all rows: gaps, distinct texts, possible readings.

It must not know what is decided from it. Memory: the distinct texts up to a limit, then 64-bit hashes of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore.dates import DIGITS as DATE_DIGITS
from modelstore.dates import FORMATS, parse_date
from modelstore.numbers import PLAIN, READINGS, SIGNS, WRITINGS, parse_number
from training.data.block import PADDED, Block
from training.data.cells import are_days, parse, parse_either
from training.data.header import names_ids
from training.data.histogram import RunningHistogram, days_in, number_in
from training.data.repeats import number_bits

MAX_TEXTS = 10_000
MAX_SHAPES = 1_000
FEW_ROWS = 10  # fewer may ascend by chance
POINTED = ("grouped_comma", "grouped_space")  # readings with a decimal point, but for plain
LEADING = re.compile(r"\D*[1-9]", re.ASCII)
DIGITS = re.compile(r"\d+", re.ASCII)
INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)

_DIGITS = str.maketrans("123456789", "000000000")
_SIGNED = {sign: tuple(f"{writing} {sign}" for writing in WRITINGS) for sign in SIGNS}

Codes = npt.NDArray[np.signedinteger[Any]]


class Profile:
    """Facts about a column so far.

    Attributes:
        rows: rows seen; `missing` of them have no value.
        counts: rows of each text, in order of its first row; None beyond the limit, or if cells came as numbers.
        readings: readings of numbers that fit every present cell; empty if the cells are no numbers.
        formats: patterns of dates that fit every present cell; of a column read as numbers, that of digits at most.
        low: smallest number; `high` is the largest.
        whole: whether all numbers are whole.
        infinite: rows of numbers that are not finite.
        odd: line and text of the first cell that is no number as Python or the file writes them.
        padded: the first text that begins with a zero and another digit; empty if there is none, or if not all texts
            are digits. Such columns hold codes, as `01234`.
        pointed: the first text with a point in a file with decimal commas; empty if there is none.
        named_as_id: whether the name, or that there is none, says that the column identifies rows.
    """

    def __init__(self, name: str, limit: float = MAX_TEXTS, *, unnamed: bool = False) -> None:
        self.name = name
        self.rows = self.missing = 0
        self.counts: dict[str, int] | None = {}
        self.readings: tuple[str, ...] = READINGS
        self.formats: tuple[str, ...] = tuple(FORMATS)
        self.low, self.high = math.inf, -math.inf
        self.earliest: tuple[int, int] | None = None
        self.latest: tuple[int, int] | None = None
        self.whole = True
        self.number_rows = self.infinite = 0
        self.odd: tuple[int, str] | None = None
        self.padded = self.pointed = ""
        self.histogram: RunningHistogram | None = None  # of values beyond `counts`, if wanted
        self.bits: dict[int, str] = {}  # text of the first 0, and of the first 1
        self._limit = limit
        self._numeric = False  # whether cells came as numbers
        self._digits = True  # whether all texts are digits
        self._shapes: set[str] = set()
        self._hashes: list[npt.NDArray[np.int64]] = []
        self.named_as_id = unnamed or names_ids(name)
        self._ascending, self._steps, self._last = True, 0, math.nan
        self._sums = 0.0, 0.0  # of whole numbers, and of their squares

    @property
    def present(self) -> int:
        """Return the rows with a value."""
        return self.rows - self.missing

    @property
    def counts_rows(self) -> bool:
        """Return whether whole numbers ascend without a repeat, nearly all by steps of one, or do so if sorted."""
        if not self.whole or self.present < 2 or self.number_rows < self.present:
            return False
        if self._ascending:
            return self._steps >= 0.95 * (self.present - 1)
        if self.present < FEW_ROWS or self.low not in (0, 1) or self.high - self.low + 1 != self.present:
            return False
        last = self.high  # sums of 1 to the last one, and of their squares
        sums = last * (last + 1) / 2, last * (last + 1) * (2 * last + 1) / 6
        return all(map(math.isclose, self._sums, sums))

    @property
    def labels_rows(self) -> bool:
        """Return whether the values only label rows; another export may have other values.

        These are ids by their name, row numbers, and whole numbers that ascend from row to row.
        """
        if self.named_as_id or self.present < FEW_ROWS or self.formats:
            return self.named_as_id
        return self.counts_rows or (self._ascending and self.whole and self.number_rows == self.present)

    def distinct(self) -> int | None:
        """Return the number of distinct values; None if it was not counted."""
        if self.counts is not None:
            return len(self.counts)
        if self._ascending and self.number_rows == self.present:
            return self.present
        if self._numeric and not self.named_as_id:
            return None
        return len(np.unique(np.concatenate(self._hashes))) if self._hashes else None

    def add_numbers(self, values: npt.NDArray[Any], block: Block, position: int) -> None:
        """Add the cells of a block that were read as plain numbers, NaN if missing, shape (n,)."""
        self.rows += len(values)
        self._numeric = True
        self.readings = self.readings if self.counts else READINGS
        right = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        self.missing += len(values) - len(right)
        self._range(right)
        if self.histogram:
            self.histogram.add_texts(self.counts or {}, number_in(PLAIN))
            self.histogram.add(right)
        self.formats = (DATE_DIGITS,) if DATE_DIGITS in self.formats and are_days(right) else ()
        if self.whole and self.low >= 0 and self.high <= 1:
            self._note_bits(values, lambda row: block.texts(position, [row])[0].strip())
        if self.counts:
            self._hashes.append(number_bits(parse(list(self.counts))).view(np.int64))
        self.counts = None
        if self.named_as_id:
            self._hashes.append(number_bits(np.unique(right)).view(np.int64))  # -1 and -2 have the same `hash`

    def add_texts(self, codes: Codes, texts: list[str], lines: npt.NDArray[np.int64], decimal: str = ".") -> None:
        """Add the cells of a block as distinct texts and the code of each row, -1 if missing.

        Readings with the file's decimal separator come before the others, so that `1,500` is not 1500, and `1.500` not
        1.5, beside `2,5`.
        """
        if decimal == ",":
            self.pointed = self.pointed or next((text for text in texts if "." in text), "")
            late = (*POINTED, PLAIN) if self.pointed else POINTED
            self.readings = tuple(sorted(self.readings, key=lambda reading: reading.partition(" ")[0] in late))
        rows = np.bincount(codes[codes >= 0], minlength=len(texts))
        self.rows += len(codes)
        self.missing += len(codes) - int(rows.sum())
        new = texts if self.counts is None else [text for text in texts if text not in self.counts]
        uncounted = self._count(texts, rows.tolist())
        values = parse_either(texts, decimal)
        plain = ~np.isnan(values)
        self._note_bits(values, texts.__getitem__)
        self.number_rows += int(rows[np.isfinite(values)].sum())
        if self.odd is None and not plain.all():
            at = int((~plain).argmax())
            self.odd = int(lines[int((codes == at).argmax())]), texts[at]
        self._narrow(new)
        if self.readings:
            if self.readings[0] != PLAIN:
                values = np.array([*map(number_in(self.readings[0]), texts)], dtype=np.float64)
            self._range(values[codes[codes >= 0]], counted=True)
        if self.formats:
            self._span(new)
        if self.histogram and (self.readings or self.formats):
            value = number_in(self.readings[0]) if self.readings else days_in(self.formats[0])
            self.histogram.add_texts(uncounted, value)

    def _note_bits(self, values: npt.NDArray[Any], text: Callable[[int], str]) -> None:
        for bit in {0, 1} - self.bits.keys():
            if (found := values == bit).any():
                self.bits[bit] = text(int(found.argmax()))

    def _count(self, texts: list[str], rows: list[int]) -> dict[str, int]:
        """Count texts, and return those with their rows that are no longer in `counts`."""
        if self.counts is None:
            self._hashes.append(_hash_all(texts))
            return dict(zip(texts, rows, strict=True))
        for text, count in zip(texts, rows, strict=True):
            self.counts[text] = self.counts.get(text, 0) + count
        if len(self.counts) > self._limit:
            self._hashes.append(_hash_all(self.counts))
            uncounted, self.counts = self.counts, None
            return uncounted
        return {}

    def _narrow(self, new: list[str]) -> None:
        """Keep the readings and formats that fit these texts too."""
        self._digits = self._digits and all(map(DIGITS.fullmatch, new))
        self.padded = (self.padded or next(filter(PADDED.match, new), "")) if self._digits else ""
        if self.readings:
            shapes = set(map(_shape, new)) - self._shapes
            self._shapes |= shapes
            for shape in shapes:
                self.readings = () if len(self._shapes) > MAX_SHAPES else _fitting(shape, self.readings)
        for text in new if self.formats else ():
            self.formats = tuple(pattern for pattern in self.formats if parse_date(text, pattern) is not None)
            if not self.formats:
                return

    def _range(self, values: npt.NDArray[Any], *, counted: bool = False) -> None:
        seen, values = len(values), values[np.isfinite(values)]
        self.infinite += seen - len(values)
        if not len(values):
            return
        if not counted:
            self.number_rows += len(values)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if self.whole and values.dtype.kind == "f":
            self.whole = bool((values == np.floor(values)).all())
        if self.whole:
            floats = values.astype(np.float64, copy=False)
            self._sums = self._sums[0] + float(floats.sum()), self._sums[1] + float(np.square(floats).sum())
        if self._ascending:
            steps = np.diff(values, prepend=values[:1] if math.isnan(self._last) else self._last)
            begun = not math.isnan(self._last)
            steps = steps if begun else steps[1:]
            self._ascending = bool((steps > 0).all())
            self._steps += int((steps == 1).sum())
            self._last = float(values[-1])

    def _span(self, new: list[str]) -> None:
        found = [moment for text in new if (moment := parse_date(text, self.formats[0]))]
        if found:
            self.earliest = min(found) if self.earliest is None else min(self.earliest, *found)
            self.latest = max(found) if self.latest is None else max(self.latest, *found)


def _hash_all(values: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(hash, values), dtype=np.int64)


def _shape(text: str) -> str:
    """Return a text with zeros for its digits, but 1 for the first one if that is no zero: 0.125 is no thousands."""
    shape = text.translate(_DIGITS)
    leading = LEADING.match(text)
    return f"{shape[: leading.end() - 1]}1{shape[leading.end() :]}" if leading else shape


def _fitting(shape: str, readings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the readings that fit a shape."""
    if INFINITE.fullmatch(shape):
        return readings
    sign = next((sign for sign in SIGNS if sign in shape), None)
    tried = readings if sign is None else tuple(reading for reading in readings if reading in _SIGNED[sign])
    return tuple(reading for reading in tried if parse_number(shape, reading) is not None)
