"""Typed columns: which cells of a row are theirs."""

from __future__ import annotations

from training.data.columns import Column, cells_of


def test_a_date_takes_two_cells_and_the_next_column_the_one_behind_them() -> None:
    columns = (Column("length"), Column("found", "datetime"), Column("soil", "categorical", ("clay", "sand")))

    assert cells_of(columns) == (slice(0, 1), slice(1, 3), slice(3, 4))
