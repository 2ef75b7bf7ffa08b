"""Decide the type of a column from its profile, or why it is left out.

It must not know files or cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from modelstore import ColumnType, LeftOut
from modelstore.dates import DIGITS, FORMATS, ISO
from modelstore.features import LeftOutReason
from modelstore.numbers import PLAIN, describe_reading, parse_number
from modelstore.reading import MAX_NAME_CHARACTERS
from training.data.cells import alike
from training.data.columns import Column
from training.data.profile import MAX_TEXTS, Profile

LISTED = 20  # columns that were not chosen, each by name
UNIQUE = 0.95  # share of distinct values from which a column identifies rows
FEW_DAYS = 3  # fewer different numbers of eight digits are hardly dates
TRUE, FALSE = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")


@dataclass(frozen=True)
class DecidedColumn:
    """What a column is.

    Attributes:
        column: its type; a best guess if the column is left out.
        left_out: why it is not used, if it is not.
        warnings: sentences about odd content.
        note: how the cells are written, where that is not the usual way.
        fault: why the type that was asked for is impossible.
    """

    column: Column
    left_out: LeftOut | None = None
    warnings: tuple[str, ...] = ()
    note: str = ""
    fault: str = ""


def decide(profile: Profile, asked: ColumnType | None = None) -> DecidedColumn:
    """Return the type of a column; a type that was asked for wins over all rules but two.

    A column without values, or with overlong texts only, is left out.
    """
    if not profile.present:
        return _leave_out(Column(profile.name, asked or "numeric"), "empty", "has no value in any row")
    if profile.counts and min(map(len, profile.counts)) > MAX_NAME_CHARACTERS:
        detail = f"has only texts of more than {MAX_NAME_CHARACTERS} characters, the most of a category"
        return _leave_out(Column(profile.name, "categorical"), "free_text", detail)
    if asked:
        return _as_asked(profile, asked)
    found = _of_its_cells(profile)
    if found.left_out:
        return found
    return _useless(profile, found) or found


def say_doubt(profile: Profile) -> tuple[str, ...]:
    """Return a sentence about numbers whose points may be decimal points, in a file with decimal commas."""
    whole = profile.readings[0] if profile.readings else PLAIN
    plain = whole.replace("grouped_point", PLAIN)
    if plain == whole or plain not in profile.readings:
        return ()
    text = profile.pointed
    values = (parse_number(text, reading) for reading in (whole, plain))
    one, other = (f"{value:.15g}" for value in values)
    why = "because the file has decimal commas (decimal=,)"
    return (f"{text!r:.40} is read as {one}, {why}; decimal=. reads it as {other}",)


def not_chosen(names: list[str]) -> tuple[LeftOut, ...]:
    """Return the entries of columns that a person did not list; many are one entry."""
    detail = "is not among the features that were listed"
    if len(names) <= LISTED:
        return tuple(LeftOut(name=name, reason="not_chosen", detail=detail) for name in names)
    return (LeftOut(name=f"{len(names)} columns", reason="not_chosen", detail=f"such as {names[0]!r}: {detail}"),)


def _truth(profile: Profile) -> tuple[str, str] | None:
    """Return the texts for false and for true of words or of zeros and ones, such as 0.0, which pandas writes."""
    is_bit = (profile.low, profile.high, profile.infinite) == (0, 1, 0) and profile.whole and not profile.padded
    if is_bit and len(profile.bits) == 2 and profile.number_rows == profile.present:
        return profile.bits[0], profile.bits[1]
    return truth_of(list(profile.counts or ()))


def truth_of(texts: list[str]) -> tuple[str, str] | None:
    """Return the texts for false and for true, if there are two texts that are such words."""
    known = {text.casefold(): text for text in texts}
    if len(texts) != 2 or len(known) != 2:
        return None
    for false, true in zip(FALSE, TRUE, strict=True):
        if set(known) == {false, true}:
            return known[false], known[true]
    return None


def _of_its_cells(profile: Profile) -> DecidedColumn:
    name = profile.name
    if truth := _truth(profile):
        return DecidedColumn(Column(name, "boolean", texts=truth))
    if profile.formats and not _are_numbers(profile):
        return _date(profile)
    if profile.padded:
        return _codes(profile)
    if profile.readings:
        reading = profile.readings[0]
        note = "" if reading == PLAIN else describe_reading(reading)
        return DecidedColumn(Column(name, reading=reading), warnings=say_doubt(profile), note=note)
    return _text(profile)


def _are_numbers(profile: Profile) -> bool:
    """Return whether digits that fit dates are rather numbers: ids by their name, or very few different ones."""
    return profile.formats[0] == DIGITS and (profile.named_as_id or (profile.distinct() or 0) < FEW_DAYS)


def _date(profile: Profile) -> DecidedColumn:
    formats = profile.formats
    column = Column(profile.name, "datetime", format=formats[0])
    if len(formats) > 1 and formats[0] != ISO and profile.earliest:
        first = next(iter(profile.counts or ()), "")
        both = " or ".join(FORMATS[pattern] for pattern in formats)
        detail = f"can be read as {both}, such as {first!r}; write its dates as year-month-day"
        return _leave_out(column, "ambiguous_date", detail)
    note = "" if formats[0] == ISO else f"dates written as {FORMATS[formats[0]]}"
    said = f"holds {note}, in all cells; the type numeric reads them as numbers"
    return DecidedColumn(column, note=note, warnings=(said,) if formats[0] == DIGITS else ())


def _text(profile: Profile) -> DecidedColumn:
    distinct, present = profile.distinct() or 0, profile.present
    column = Column(profile.name, "categorical", texts=tuple(profile.counts or ()))
    warnings = _odd_cells(profile)
    if 2 * distinct < present and distinct <= MAX_TEXTS:
        same = alike(column.texts) if distinct <= 1000 else []
        warnings += tuple(f"{names} would be different values; are they the same?" for names in same)
        return DecidedColumn(column, warnings=warnings)
    figures = f"{distinct:,} different texts in {present:,} rows"
    way = "to use it nonetheless, give it the type categorical"
    if warnings:  # numbers but for some cells; what is told about those comes first
        return _leave_out(column, "too_many_values", f"{warnings[0]}; as text it has {figures}; {way}")
    if distinct >= UNIQUE * present and not _many_words(profile):
        return _leave_out(column, "id", f"identifies rows: {figures}; {way}")
    if _many_words(profile):
        return _leave_out(column, "free_text", f"is free text: {figures}; {way}")
    return _leave_out(column, "too_many_values", f"has {figures}; {way}")


def _codes(profile: Profile) -> DecidedColumn:
    """Return the decision on digits of which some begin with zeros: numbers would lose these."""
    said = (
        f"is text, because all cells are digits and some begin with zeros, such as {profile.padded[:40]!r}; "
        "the type numeric reads them as numbers"
    )
    found, note = _text(profile), "codes with leading zeros"
    if found.left_out:
        left = found.left_out
        return replace(found, left_out=left.model_copy(update={"detail": f"{said}; {left.detail}"}), note=note)
    return replace(found, warnings=(said, *found.warnings), note=note)


def _many_words(profile: Profile) -> bool:
    """Return whether texts have three words and more on average."""
    some = list(islice(profile.counts or (), 100))
    return bool(some) and sum(len(text.split()) for text in some) >= 3 * len(some)


def _odd_cells(profile: Profile) -> tuple[str, ...]:
    if 2 * profile.number_rows <= profile.present or profile.odd is None:
        return ()
    line, text = profile.odd
    others = profile.present - profile.number_rows
    found = (
        f"is text, because {others:,} of {profile.present:,} cells are no numbers, first {text[:40]!r} in line {line}"
    )
    if text == profile.name:
        return (f"{found}: a line of names among the rows; remove such lines",)
    return (f"{found}; if they stand for a missing value, name them in missing_values",)


def _useless(profile: Profile, found: DecidedColumn) -> DecidedColumn | None:
    """Return the decision to leave out a constant column, row numbers or ids."""
    column, distinct, present = found.column, profile.distinct(), profile.present
    all_numbers = column.type == "numeric" and profile.number_rows == present
    constant = distinct == 1 or (all_numbers and profile.low == profile.high)
    if constant and not profile.missing and present > 1:
        return _leave_out(column, "constant", f"has the same value in all {present:,} rows")
    if column.type != "numeric" or not profile.whole or present < 2:
        return None
    way = "to use it nonetheless, give it the type numeric"
    if profile.counts_rows and present >= 10:
        return _leave_out(column, "row_number", f"counts rows from {profile.low:g} to {profile.high:g}; {way}")
    if profile.counts and profile.named_as_id:  # one number may be written in several ways
        distinct = len({parse_number(text, column.reading) for text in profile.counts})
    if profile.named_as_id and distinct is not None and distinct >= UNIQUE * present:
        return _leave_out(column, "id", f"identifies rows: {distinct:,} whole numbers in {present:,} rows; {way}")
    return None


def _as_asked(profile: Profile, asked: ColumnType) -> DecidedColumn:
    name, texts = profile.name, list(profile.counts or ())
    if asked == "categorical":
        return DecidedColumn(Column(name, "categorical", texts=tuple(texts)))
    if asked == "numeric":
        reading = profile.readings[0] if profile.readings else PLAIN
        return DecidedColumn(Column(name, reading=reading), note="" if reading == PLAIN else describe_reading(reading))
    if asked == "datetime":
        found = _date(profile) if profile.formats else DecidedColumn(Column(name, "datetime"))
        return replace(found, left_out=None, fault=found.left_out.detail if found.left_out else "")
    truth = _truth(profile) or (tuple(sorted(texts)) if len(texts) == 2 else ())
    some = ", ".join(map(repr, texts[:5]))
    fault = "" if truth else f"expected two values for the type boolean, got {len(texts) or 'more'}, such as {some}"
    return DecidedColumn(Column(name, "boolean", texts=truth), fault=fault)


def _leave_out(column: Column, reason: LeftOutReason, detail: str) -> DecidedColumn:
    return DecidedColumn(column, LeftOut(name=column.name, reason=reason, detail=detail))
