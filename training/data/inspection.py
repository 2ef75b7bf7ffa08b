"""Inspect a CSV file before training: summarise its columns, or list its faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelstore import ColumnSummary, DataOptions, DatasetFault, DatasetSummary, Dialect, Histogram, Inspection
from modelstore.datasets import MANY_VALUES, MAX_CLASSES
from training.data.cells import LARGEST, alike, in_class_order, parse
from training.data.columns import Column
from training.data.csv_blocks import CsvFile
from training.data.decide import DecidedColumn, decide
from training.data.header import names_ids, require_columns
from training.data.histogram import RunningHistogram, days_in, number_in
from training.data.precision import Merging, exact
from training.data.profile import Profile
from training.data.scan import NeedsText, add_block, profiles_of, read_missing, require_texts
from training.errors import MissingExtra

SHOWN_CLASSES = 5
FREQUENT = 20
REPEATED = 0.9  # share of distinct values below which ids are groups of rows


def inspect_file(path: Path, options: DataOptions | None = None, dialect: Dialect | None = None) -> Inspection:
    """Read a file, in bounded memory, and return a summary or its first ten faults, or the library that is missing.

    Columns get the types that a training gives them.
    """
    options, kept = options or DataOptions(), frozenset[int]()
    while True:
        try:
            with path.open("rb") as stream:
                return _inspect(CsvFile(stream, dialect), path.stat().st_size, options, kept)
        except NeedsText as needs:
            kept |= needs.positions
        except MissingExtra as error:
            return Inspection(faults=(DatasetFault(problem=str(error)),))
        except OSError as error:
            return Inspection(faults=(DatasetFault(problem=f"cannot be read: {error.strerror or error}"),))


def print_inspection(console: Console, file: str, inspection: Inspection) -> None:
    """Print the columns and warnings, or the faults."""
    for fault in inspection.faults:
        place = "".join(
            (f", line {fault.line}" if fault.line else "", f", column {fault.column!r}" if fault.column else "")
        )
        console.print(f"{file}{place}: {fault.problem}", markup=False, highlight=False, soft_wrap=True)
    summary = inspection.summary
    if summary is None:
        return
    title = Text(f"{file}: {summary.rows:,} rows, {summary.size_bytes:,} bytes")  # a name may look like markup
    table = Table(title=title, title_justify="left")
    for heading in ("column", "type", "missing", "different", "range", "values (rows)", "note"):
        table.add_column(heading, overflow="fold")
    for column in summary.columns:
        different = "many" if column.distinct is None else f"{column.distinct:,}"
        kind = f"left out: {column.left_out}" if column.left_out else column.type
        span, note = _span(column), column.detail or column.note
        table.add_row(column.name, kind, f"{column.missing:,}", different, span, _show(column.classes), note)
    console.print(table, markup=False)
    if dialect := summary.dialect.describe():
        console.print(f"dialect: {dialect}", markup=False, highlight=False, soft_wrap=True)
    if summary.blank_lines:
        console.print(f"blank lines passed over: {summary.blank_lines:,}", highlight=False)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


def _inspect(file: CsvFile, size_bytes: int, options: DataOptions, kept: frozenset[int]) -> Inspection:
    """Summarise a file; columns with few values and those of `kept` are read as text, to show them as in the file."""
    header = file.read_header()
    if header:
        require_columns(file.faults, header, options.types, ", to which `--type` gives a type")
    missing = frozenset(options.missing_texts)
    as_text = set(range(len(header)))
    kept = kept if read_missing(file, missing) else frozenset(as_text)
    profiles, merging = profiles_of(header, options, file.unnamed), [Merging() for _ in header]
    for profile in profiles:
        profile.histogram = RunningHistogram()
    hashes: list[npt.NDArray[np.int64]] = []
    for block in file.blocks(as_text) if header and not file.faults else ():
        hashes.append(np.fromiter(map(hash, block.rows), dtype=np.int64, count=len(block)))
        for position, values in add_block(profiles, block, as_text, range(len(header)), missing).items():
            merging[position].add(values[np.isfinite(values)])
        as_text -= {at for at in as_text - kept if _many_numbers(profiles[at])}
    if not file.faults:
        require_texts(profiles, as_text, range(len(header)))
    rows = sum(map(len, hashes))
    if not (rows or file.faults):
        file.faults.add("expected data rows below the header, got none")
    if file.faults:
        return Inspection(faults=file.faults.sorted())
    ordered = np.sort(np.concatenate(hashes))
    duplicates = int((ordered[1:] == ordered[:-1]).sum())
    decisions = [decide(profile, options.types.get(profile.name)) for profile in profiles]
    summary = DatasetSummary(
        rows=rows,
        size_bytes=size_bytes,
        sha256=file.sha256(),
        columns=tuple(map(_summary, profiles, decisions)),
        duplicate_rows=duplicates,
        blank_lines=file.blank_lines,
        dialect=file.found,
        warnings=(
            *file.notes,
            *_warnings(profiles, decisions, merging, file.found.decimal or "."),
            *_of_rows(header, rows, duplicates),
        ),
    )
    return Inspection(summary=summary)


def _many_numbers(profile: Profile) -> bool:
    """Return whether a column so far is numbers of more values than are shown."""
    is_number = "plain" in profile.readings and profile.odd is None and not (profile.padded or profile.formats)
    return len(profile.counts or ()) > MAX_CLASSES and is_number


def _summary(profile: Profile, decision: DecidedColumn) -> ColumnSummary:
    low, high, column = None, None, decision.column
    if (column.type == "numeric" or profile.padded) and profile.low <= profile.high:
        low, high = profile.low, profile.high
    dates = column.type == "datetime" and profile.earliest and profile.latest
    left = decision.left_out
    return ColumnSummary(
        name=profile.name,
        type=column.type,
        missing=profile.missing,
        distinct=profile.distinct(),
        minimum=_iso(profile.earliest) if dates else low,
        maximum=_iso(profile.latest) if dates else high,
        classes=_classes(profile),
        histogram=_histogram(profile, column),
        left_out=left.reason if left else None,
        detail=f"{left.detail}" if left else "",
        note=decision.note,
    )


def _histogram(profile: Profile, column: Column) -> Histogram | None:
    """Return the rows by value of numbers and dates; None of other columns."""
    known = profile.formats if column.type == "datetime" else profile.readings if column.type == "numeric" else ()
    if not known:
        return None
    dates, running = column.type == "datetime", profile.histogram
    if profile.counts is not None:
        running = RunningHistogram()
        running.add_texts(profile.counts, days_in(known[0]) if dates else number_in(known[0]))
    elif dates and profile.readings:  # they were counted as numbers
        return None
    return running.result(whole=profile.whole and not dates, dates=dates) if running else None


def _classes(profile: Profile) -> dict[str, int]:
    counts = profile.counts or {}
    if len(counts) <= MAX_CLASSES:
        return {text: counts[text] for text in in_class_order(counts)}
    frequent = sorted(counts, key=lambda text: -counts[text])[:FREQUENT]
    return (
        {} if profile.readings and not profile.padded else {text: counts[text] for text in frequent if counts[text] > 1}
    )


def _warnings(
    profiles: list[Profile], decisions: list[DecidedColumn], merging: list[Merging], decimal: str
) -> Iterator[str]:
    for profile, decision, merged in zip(profiles, decisions, merging, strict=True):
        said = list(decision.warnings)
        if decision.left_out:
            said.append(f"left out ({decision.left_out.reason}): {decision.left_out.detail}")
        if decision.fault:
            said.append(decision.fault)
        used_number = decision.column.type == "numeric" and not decision.left_out
        if used_number and (problem := _find_merged(profile, merged, decimal)):
            said.append(problem)
        if used_number and (profile.infinite or LARGEST < max(-profile.low, profile.high) < np.inf):
            said.append(f"holds numbers beyond float32, at most {LARGEST:.2g}, which a training refuses by line")
        is_whole = decision.column.type in ("numeric", "boolean") and profile.whole
        if is_whole and len(profile.counts or ()) <= MANY_VALUES:
            said += [
                f"{values} would be different classes; are they the same?" for values in alike(profile.counts or ())
            ]
        if decision.column.type == "datetime" and not decision.left_out:
            said.append("holds dates; should the latest rows test? split: time")
        if _groups(profile, decision):
            said.append("holds ids that repeat; should all rows of one stay on one side? split: group")
        yield from (f"column {profile.name!r}: {sentence}" for sentence in said)


def _groups(profile: Profile, decision: DecidedColumn) -> bool:
    distinct = profile.distinct()
    if not names_ids(profile.name) or decision.left_out or distinct is None:
        return False
    return 20 < distinct < REPEATED * profile.present


def _of_rows(header: tuple[str, ...], rows: int, duplicates: int) -> Iterator[str]:
    if len(header) == 1:
        yield "there is only one column; a training needs a target and one more; cells are separated by , ; | or tab"
    if all(name.strip().isdigit() for name in header):
        yield "all column names are numbers; is the line of names missing?"
    if duplicates:
        yield f"{duplicates} of {rows} rows repeat another one"


def _find_merged(profile: Profile, merging: Merging, decimal: str) -> str | None:
    if profile.counts is None:
        return merging.problem()
    values = parse(list(profile.counts), decimal)
    right = np.isfinite(values)
    whole, texts = Merging(), [text for text, fits in zip(profile.counts, right, strict=True) if fits]
    whole.add(exact(texts, values[right]), np.array(list(profile.counts.values()))[right])
    return whole.problem()


def _iso(moment: tuple[int, int] | None) -> str | None:
    return moment and (datetime(1970, 1, 1) + timedelta(*moment)).isoformat()


def _span(column: ColumnSummary) -> str:
    low, high = column.minimum, column.maximum
    return "" if low is None else " to ".join(end if isinstance(end, str) else f"{end:g}" for end in (low, high or 0))


def _show(classes: dict[str, int]) -> str:
    shown = [f"{text} ({rows})" for text, rows in list(classes.items())[:SHOWN_CLASSES]]
    return ", ".join(shown) + (", ..." if len(classes) > SHOWN_CLASSES else "")
