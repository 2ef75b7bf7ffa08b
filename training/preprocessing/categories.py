"""Choose the categories of text columns on training rows; other texts share one code.

It must not know networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from modelstore.features import MAX_CATEGORIES, MIN_CATEGORY_ROWS
from modelstore.reading import MAX_NAME_CHARACTERS
from training.data.columns import Column, cells_of

OTHER_SHARE = 0.01  # of a column's cells that learn "other", where no training row has it

Cells = npt.NDArray[np.float32]


def fit_categories(columns: tuple[Column, ...], train: Cells) -> tuple[Column, ...]:
    """Return the columns with categories: texts of at least 5 training rows, at most 255, most frequent first.

    Of equally frequent texts, the one that comes first in `texts` comes first. A column always has one category, if
    need be of fewer rows.

    Args:
        columns: columns whose `texts` are all texts of the file.
        train: cells of the training rows, (N, W); they are not changed.
    """
    return tuple(
        _fit(column, train[:, cells.start]) if column.type == "categorical" else column
        for column, cells in zip(columns, cells_of(columns), strict=True)
    )


def recode(x: Cells, before: tuple[Column, ...], after: tuple[Column, ...]) -> None:
    """Replace the codes of the texts of `before` by those of `after` in place.

    A text that `after` lacks gets the code after the last one. True stays true however it is written, as `1` and `1.0`,
    unless a text means true in one and false in the other.

    Args:
        x: cells, (N, W); NaN stays.
        before: the columns of `x`.
        after: the same columns with other texts.
    """
    for old, new, cells in zip(before, after, cells_of(before), strict=True):
        cell = x[:, cells.start]
        if old.type == "categorical" and old.texts != new.texts:
            codes = {text: code for code, text in enumerate(new.texts)}
            other = len(new.texts)
            lookup = np.array([*(codes.get(text, other) for text in old.texts), other], dtype=np.float32)
            present = ~np.isnan(cell)
            cell[present] = lookup[cell[present].astype(np.int64)]
        elif old.type == "boolean" and any(one == other for one, other in zip(old.texts, new.texts[::-1], strict=True)):
            cell[:] = 1 - cell


def add_other(columns: tuple[Column, ...], x: Cells, seed: int) -> Cells:
    """Return cells in which every categorical column has some "other", so that its weights are trained.

    Where no row has it, 1 % of the column's present cells, at least 5, become "other" in a copy.

    Args:
        columns: the columns.
        x: cells of the training rows, (N, W).
        seed: seed of the choice of cells.
    """
    lacking = list(_without_other(columns, x))
    draw, x = np.random.default_rng(seed), x.copy() if lacking else x
    for column, cell in lacking:
        present = np.flatnonzero(~np.isnan(x[:, cell]))
        some = min(len(present), max(MIN_CATEGORY_ROWS, round(OTHER_SHARE * len(present))))
        x[draw.choice(present, some, replace=False), cell] = len(column.texts)
    return x


def _fit(column: Column, cell: Cells) -> Column:
    codes = cell[~np.isnan(cell)].astype(np.int64)
    counts = np.bincount(codes, minlength=len(column.texts))[: len(column.texts)]
    order = np.argsort(-counts, kind="stable")
    short = [code for code in order.tolist() if len(column.texts[code]) <= MAX_NAME_CHARACTERS]
    chosen = [code for code in short if counts[code] >= MIN_CATEGORY_ROWS][:MAX_CATEGORIES] or short[:1]
    kept = tuple(int(counts[code]) for code in chosen)
    texts = tuple(column.texts[code] for code in chosen)
    return replace(column, texts=texts, counts=kept, other=len(codes) - sum(kept))


def _without_other(columns: tuple[Column, ...], x: Cells) -> Iterator[tuple[Column, int]]:
    for column, cells in zip(columns, cells_of(columns), strict=True):
        if column.type == "categorical" and not (x[:, cells.start] == len(column.texts)).any():
            yield column, cells.start
