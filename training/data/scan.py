"""Read a file once for the profiles of its columns, each as numbers or as texts.

It must not know what is decided from them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from modelstore.data_options import DataOptions
from training.data.block import Block
from training.data.cells import finite, parse
from training.data.csv_blocks import CsvFile
from training.data.precision import Values
from training.data.profile import MAX_TEXTS, Profile


class NeedsText(Exception):
    """A column that was read as numbers holds other cells; it has to be read as text from the beginning."""

    def __init__(self, positions: Collection[int]) -> None:
        self.positions = frozenset(positions)


def read_missing(file: CsvFile, missing: frozenset[str]) -> bool:
    """Tell the file which cells are missing among numbers; return False if numbers must be read as text for that."""
    if any(finite(text) is not None for text in missing):  # pandas would take 99.0 for 99
        return False
    file.missing = missing
    return True


def profiles_of(header: Iterable[str], options: DataOptions, unnamed: Collection[str] = ()) -> list[Profile]:
    """Return an empty profile of each column; all texts are kept of a column that shall be categorical."""
    return [
        Profile(name, np.inf if options.types.get(name) == "categorical" else MAX_TEXTS, unnamed=name in unnamed)
        for name in header
    ]


def marked_of(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """Return the sorted names of the columns whose cells decide whether two rows are equal.

    Columns that label rows are not among them, unless all columns do.
    """
    labels = {profile.name: profile.labels_rows for profile in profiles}
    return tuple(sorted([name for name, label in labels.items() if not label] or labels))


def add_block(
    profiles: list[Profile], block: Block, as_text: Collection[int], wanted: Iterable[int], missing: frozenset[str]
) -> dict[int, Values]:
    """Add a block to the profiles of the wanted positions, and return the numbers of those that are not texts.

    Raises:
        NeedsText: if columns that are not in `as_text` hold cells that are no numbers, or may be codes.
    """
    found: dict[int, Values] = {}
    failed: set[int] = set()
    for position in wanted:
        if position in as_text:
            codes, texts = block.encode(position, missing)
            profiles[position].add_texts(codes, texts, block.lines, block.decimal)
        elif (values := numbers_of(block, position, missing)) is None:
            failed.add(position)
        else:
            found[position] = values
            profile = profiles[position]
            profile.add_numbers(values, block, position)
            if profile.whole and profile.low >= 0 and block.has_padding(position):
                failed.add(position)
    if failed:
        raise NeedsText(failed)
    return found


def require_texts(profiles: list[Profile], as_text: Collection[int], wanted: Iterable[int]) -> None:
    """Require that columns whose numbers may be days, as 20240131, have been read as text, which alone tells.

    Raises:
        NeedsText: naming those that were not.
    """
    days = [at for at in wanted if at not in as_text and profiles[at].present and profiles[at].formats]
    if days:
        raise NeedsText(days)


def numbers_of(block: Block, position: int, missing: frozenset[str]) -> Values | None:
    """Return a column of a block as numbers, NaN if missing, shape (n,); None if another cell is no plain number."""
    if (values := block.numbers(position)) is not None:
        return values
    if pd.api.types.is_bool_dtype(block.cells[position]):
        return None
    codes, texts = block.encode(position, missing)
    parsed = parse(texts, block.decimal)
    return None if np.isnan(parsed).any() else np.append(parsed, np.nan)[codes]
