"""What all rows say about a column, whatever the blocks in which they come."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from modelstore.numbers import PLAIN
from training.data.block import Block
from training.data.profile import Profile


def add(profile: Profile, *cells: str, line: int = 2) -> Profile:
    """Add cells as texts; the empty one is missing."""
    texts = list(dict.fromkeys(filter(None, cells)))
    codes = np.array([texts.index(cell) if cell else -1 for cell in cells], dtype=np.int64)
    profile.add_texts(codes, texts, np.arange(line, line + len(cells)))
    return profile


def add_numbers(profile: Profile, *cells: str) -> Profile:
    """Add cells as numbers, as they are read from a file."""
    column = pd.Series([float(cell) if cell else np.nan for cell in cells])
    source = "".join(f"{cell}\n" for cell in cells).encode()
    block = Block(pd.DataFrame({0: column}), np.arange(len(cells)), source)
    profile.add_numbers(column.to_numpy(), block, 0)
    return profile


def facts(profile: Profile) -> tuple[object, ...]:
    return (profile.rows, profile.missing, profile.low, profile.high, profile.whole, profile.number_rows)


def test_counts_and_gaps_are_those_of_all_blocks_in_order_of_their_first_row() -> None:
    profile = add(add(Profile("it"), "b", "a", "", "b"), "c", "a", "")

    assert profile.counts == {"b": 2, "a": 2, "c": 1}
    assert (profile.rows, profile.missing, profile.present, profile.distinct()) == (7, 2, 5, 3)


def test_numbers_and_their_texts_have_the_same_facts() -> None:
    cells = ("3", "", "-1.5", "12", "3")

    assert facts(add(Profile("it"), *cells)) == facts(add_numbers(Profile("it"), *cells)) == (5, 1, -1.5, 12, False, 4)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_blocks_do_not_change_what_is_seen(size: int) -> None:
    cells, profile = ["1,200", "", "7", "3,000", "9"], Profile("it")
    for first in range(0, len(cells), size):
        add(profile, *cells[first : first + size], line=2 + first)

    assert profile.readings[0] == "grouped_comma"
    assert (profile.low, profile.high, profile.odd) == (7, 3000, (2, "1,200"))


def test_the_first_cell_that_is_no_number_is_known_by_its_line() -> None:
    profile = add(add(Profile("it"), "1", "2"), "3", "Ulm", "Bonn", line=40)

    assert (profile.odd, profile.number_rows, profile.readings) == ((41, "Ulm"), 3, ())


def test_a_reading_must_fit_every_cell() -> None:
    assert add(Profile("it"), "1.5", "2").readings[0] == PLAIN
    assert add(Profile("it"), "1,5", "2,25").readings[0] == "decimal_comma"
    assert add(Profile("it"), "5 %", "3").readings == ()


@pytest.mark.parametrize(
    ("cells", "decimal", "reading"),
    [
        (["1.500", "7"], ".", PLAIN),
        (["1.500", "7"], ",", "grouped_point"),
        (["1.500 €", "7"], ",", "grouped_point €"),
        (["0.125", "1.500"], ",", PLAIN),
        (["1.500", "2.25"], ",", PLAIN),
        (["7", "12"], ",", PLAIN),
        (["0,125", "1,500"], ".", "decimal_comma"),
        (["1,500", "7"], ".", "grouped_comma"),
        (["-0,125"], ".", "decimal_comma"),
    ],
)
def test_a_group_of_thousands_begins_with_no_zero_and_points_are_decimal_where_commas_are_not(
    cells: list[str], decimal: str, reading: str
) -> None:
    profile = Profile("it")
    profile.add_texts(np.arange(len(cells)), cells, np.arange(2, 2 + len(cells)), decimal)

    assert profile.readings[0] == reading


def test_dates_have_a_span_in_days_and_seconds() -> None:
    profile = add(Profile("it"), "2024-02-29 12:30:00", "", "1969-12-31")

    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC).timestamp()
    assert profile.earliest == (-1, 0)
    assert profile.latest == divmod(int(moment), 86_400)


@pytest.mark.parametrize(
    ("cells", "counts_rows"),
    [
        ([str(row) for row in range(1, 41)], True),
        ([str(row + (row > 20)) for row in range(1, 41)], True),
        ([str(2 * row) for row in range(40)], False),
        ([str(40 - row) for row in range(40)], True),
        ([str(row * 7 % 40) for row in range(40)], True),
        ([str(row * 7 % 41) for row in range(40)], False),
        (["0", "0", *(str(row) for row in range(2, 38)), "39", "39"], False),
        ([f"{row}.5" for row in range(40)], False),
        (["0", "0", *map(str, range(1, 39))], False),
    ],
    ids=[
        "1 to 40",
        "one row lost",
        "even numbers",
        "backwards",
        "shuffled",
        "shuffled, one lost",
        "as many",
        "halves",
        "a repeat",
    ],
)
def test_row_numbers_ascend_by_one_or_do_so_if_sorted(cells: list[str], counts_rows: bool) -> None:
    halves = add_numbers(add_numbers(Profile("it"), *cells[:17]), *cells[17:])

    assert halves.counts_rows == counts_rows
    assert add(Profile("it"), *cells).counts_rows == counts_rows


@pytest.mark.parametrize(
    ("name", "cells", "labels"),
    [
        ("customerID", ["u7", "u3"], True),
        ("it", [str(row) for row in range(40)], True),
        ("it", [str(row * row) for row in range(40)], True),
        ("it", [str(row) for row in (1, 2, 3)], False),
        ("it", [f"t{row}" for row in range(40)], False),
        ("it", [str(row * row % 41) for row in range(40)], False),
        ("it", [f"{row}.5" for row in range(40)], False),
    ],
    ids=["a name of ids", "counts", "ascends", "a few rows", "texts", "numbers", "decimals"],
)
def test_columns_that_label_rows_are_ids_by_name_and_whole_numbers_that_count_or_ascend(
    name: str, cells: list[str], labels: bool
) -> None:
    assert add(Profile(name), *cells).labels_rows == labels
    assert add(Profile(name, unnamed=True), *cells).labels_rows


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        *((name, True) for name in ("id", "PassengerId", "customerID", "user_id", "Unnamed: 0", "row key", "ID")),
        *((name, False) for name in ("paid", "Humidity", "width", "keyboard", "indexed", "valid")),
    ],
)
def test_names_of_ids_are_whole_words(name: str, is_id: bool) -> None:
    assert Profile(name).named_as_id == is_id


def test_beyond_the_limit_distinct_texts_are_still_counted() -> None:
    profile = add(add(Profile("it", limit=3), "a", "b", "c", "d"), "d", "e", "a")

    assert (profile.counts, profile.distinct()) == (None, 5)


def test_the_texts_of_0_and_1_are_kept_as_they_stand() -> None:
    for way in (add, add_numbers):
        assert way(Profile("it"), "1.0", "", "0", "1").bits == {0: "0", 1: "1.0"}
        assert way(way(Profile("it"), "0.0", "", "0"), "1").bits == {0: "0.0", 1: "1"}


def test_numbers_of_ids_are_counted_whatever_their_hash() -> None:
    assert hash(-1.0) == hash(-2.0)
    assert add_numbers(Profile("id"), "3", "-1", "-2").distinct() == 3


@pytest.mark.parametrize(
    ("cells", "padded"),
    [
        (["12345", "01234", "00501", ""], "01234"),
        (["7", "007"], "007"),
        (["0", "10", "5"], ""),
        (["0.5", "00.5"], ""),
        (["00:30", "01:15"], ""),
        (["01", "-1"], ""),
        (["01", "x2"], ""),
    ],
    ids=["zip", "agent", "numbers", "decimals", "times", "signs", "words"],
)
@pytest.mark.parametrize("size", [1, 4])
def test_codes_are_digits_of_which_some_begin_with_zeros(cells: list[str], padded: str, size: int) -> None:
    profile = Profile("it")
    for first in range(0, len(cells), size):
        add(profile, *cells[first : first + size])

    assert profile.padded == padded
