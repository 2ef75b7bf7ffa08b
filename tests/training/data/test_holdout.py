"""Hold rows out: by hash, by time, by group, or shuffled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.samples import clouds
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.holdout import (
    KEYS,
    Grouped,
    Hashed,
    HoldOut,
    Latest,
    Purpose,
    Shuffled,
    hold_out_validation_rows,
    position,
)
from training.data.repeats import text_mark

WAYS = [Hashed(), Shuffled(), Shuffled(stratify=True), Latest("x0"), Grouped("x1")]


def with_marks(rows: Dataset) -> Dataset:
    marks = np.array([text_mark(str(line)) for line in rows.lines], dtype=np.uint64)
    return replace(rows, marks=marks)


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_every_row_is_on_one_side(way: HoldOut) -> None:
    rows = Grouped("x1").mark(with_marks(clouds(200)))

    for rest, held_out in (way.hold_out(rows, 0.2, purpose, 3) for purpose in KEYS):
        assert sorted((*rest, *held_out)) == list(range(200))
        assert len(held_out) == pytest.approx(40, abs=24)


def test_places_are_those_of_splitmix64_with_the_key_as_seed() -> None:
    """Reference: the third and fourth outputs for seed 0, from the reference implementation by S. Vigna."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([golden * n % 2**64 for n in (3, 4)], dtype=np.uint64)

    assert (position(states, 0) * 2**53).astype(np.int64).tolist() == [
        0x06C45D188009454F >> 11,
        0xF88BB8A8724C81EC >> 11,
    ]


def test_test_and_validation_rows_are_drawn_independently() -> None:
    marks = np.random.default_rng(0).integers(0, 2**63, 20_000).astype(np.uint64)

    first, second = (position(marks, key) < 0.2 for key in (1, 2))

    assert (first & second).mean() == pytest.approx(0.04, abs=0.006)


def test_each_draw_of_a_hash_holds_out_other_rows_and_the_first_is_that_of_recipes() -> None:
    rows = with_marks(clouds(2000))

    sides = [np.isin(np.arange(2000), Hashed(draw).hold_out(rows, 0.2, "test")[1]) for draw in range(3)]

    assert np.array_equal(sides[0], position(rows.marks, KEYS["test"]) < 0.2)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (sides[one] & sides[other]).mean() == pytest.approx(0.04, abs=0.02)


def test_a_tiny_table_has_a_row_on_both_sides() -> None:
    rows = with_marks(clouds(5))

    for share in (1e-9, 1 - 1e-9):
        assert all(map(len, Hashed().hold_out(rows, share, "test")))


def test_groups_of_text_are_told_apart_by_their_text_and_not_by_their_code() -> None:
    groups = tuple(f"person {n}" for n in range(20))
    rows = clouds(400, features=2)
    rows.x[:, 0] = np.arange(400) % 20
    here = replace(rows, columns=(Column("who", "categorical", groups), Column("x1")))
    backwards = replace(rows, columns=(Column("who", "categorical", groups[::-1]), Column("x1")))

    def named(data: Dataset) -> set[str]:
        _, held_out = Grouped("who").hold_out(Grouped("who").mark(data), 0.3, "test")
        return {data.columns[0].texts[int(code)] for code in data.x[held_out, 0]}

    assert 0 < len(named(here)) < 20
    assert named(here) == named(backwards)


def test_rows_without_a_time_are_never_held_out() -> None:
    rows = clouds(100, features=1)
    rows.x[:, 0] = np.arange(100)
    rows.x[::2] = np.nan

    rest, held_out = Latest("x0").hold_out(rows, 0.2, "test")

    assert held_out.tolist() == list(range(81, 100, 2))
    assert len(rest) == 90


@pytest.mark.parametrize("purpose", ["validation", "calibration"])
def test_most_training_rows_are_not_held_out_for_their_time(purpose: Purpose) -> None:
    """Of test rows it is otherwise: the same column tests the same rows in a table that has grown."""
    rows = clouds(100, features=1)
    years = {"the latest of two": [20, 80], "the middle of three": [10, 80, 10], "half": [50, 50]}
    for counts, expected in zip(years.values(), ([], [2], [1]), strict=True):
        rows.x[:, 0] = np.repeat(np.arange(len(counts)), counts)
        _, held_out = Latest("x0").hold_out(rows, 0.15, purpose)
        assert sorted(set(rows.x[held_out, 0].tolist())) == expected
    rows.x[:, 0] = np.arange(100) // 20
    assert [len(Latest("x0").hold_out(rows, 0.15, each)[1]) for each in (purpose, "test")] == [20, 20]


@pytest.mark.parametrize("purpose", ["validation", "calibration"])
def test_most_training_rows_are_not_held_out_for_their_group(purpose: Purpose) -> None:
    rows = clouds(100, features=1)
    for large in range(20):  # whichever of the two its hash would hold out
        rows.x[:, 0] = large + (np.arange(100) < 10)
        rest, held_out = Grouped("x0").hold_out(Grouped("x0").mark(rows), 0.15, purpose)
        assert (len(rest), len(held_out)) == (90, 10)


@pytest.mark.parametrize("way", [Latest("x0"), Grouped("x0")], ids=repr)
def test_validation_rows_of_one_time_or_group_are_drawn(way: Latest | Grouped) -> None:
    rows = clouds(100)
    rows.x[:, 0] = 2023
    rows = Grouped("x0").mark(rows)

    for mine, drawn in zip(
        hold_out_validation_rows(rows, 0.2, 3, way), Shuffled().hold_out(rows, 0.2, "validation", 3), strict=True
    ):
        assert np.array_equal(mine, drawn)
        assert len(drawn)
