"""The type of a column, or why it is left out, by the table of real columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from modelstore import MISSING_VALUES, ColumnType
from training.data.decide import DecidedColumn, decide, truth_of
from training.data.profile import Profile

ROWS = 40


def decided(cells: list[str], asked: ColumnType | None = None, name: str = "it") -> DecidedColumn:
    """Return the decision on a column of these cells, which begin in line 2."""
    profile, present = Profile(name), [cell for cell in cells if cell not in MISSING_VALUES]
    texts = list(dict.fromkeys(present))
    codes = [texts.index(cell) if cell not in MISSING_VALUES else -1 for cell in cells]
    profile.add_texts(np.array(codes, dtype=np.int64), texts, np.arange(2, 2 + len(cells)))
    return decide(profile, asked)


def cells(cell: Callable[[int], str]) -> list[str]:
    return [cell(row) for row in range(ROWS)]


@pytest.mark.parametrize(
    ("column", "kind", "note"),
    [
        (["red", "green", "red", "green", "red"], "categorical", ""),
        (["1.5", "", "2", "NA", "?"], "numeric", ""),
        (["", "", "7", "9", "8"], "numeric", ""),
        (["True", "False", "True"], "boolean", ""),
        (["N", "Y", "N"], "boolean", ""),
        (["no", "", "YES"], "boolean", ""),
        (["0", "1", "0"], "boolean", ""),
        (["0.0", "", "1.0"], "boolean", ""),
        (["0", "0.0", "1"], "boolean", ""),
        (["0", "1", "inf"], "numeric", ""),
        (["0%", "1%", "0%"], "numeric", "the sign %"),
        (["1", "2", "1"], "numeric", ""),
        (["2024-02-29", "2023-01-01"], "datetime", ""),
        (["03/04/2020", "13/04/2020"], "datetime", "day/month/year"),
        (["03/04/2020", "04/13/2020"], "datetime", "month/day/year"),
        (["1,234.50", "12", "3,000"], "numeric", "thousands separators (1,234.5)"),
        (["1 234", "12", "3 000"], "numeric", "blanks as thousands separators"),
        (["$1.50", "$2", "$3"], "numeric", "the sign $"),
        (["15 %", "3 %", "7 %"], "numeric", "the sign %"),
    ],
    ids=lambda value: "|".join(value) if isinstance(value, list) else "",
)
def test_a_column_is_what_its_present_cells_are(column: list[str], kind: str, note: str) -> None:
    decision = decided(column)

    assert (decision.left_out, decision.fault, decision.column.type) == (None, "", kind)
    assert note in decision.note
    assert bool(decision.note) == bool(note)


@pytest.mark.parametrize(
    ("column", "reason", "detail"),
    [
        (cells(lambda row: ""), "empty", "no value in any row"),
        (cells(lambda row: "7"), "constant", f"the same value in all {ROWS} rows"),
        (cells(lambda row: ("7", "7.0")[row % 2]), "constant", f"the same value in all {ROWS} rows"),
        (cells(lambda row: "AT"), "constant", f"the same value in all {ROWS} rows"),
        (cells(lambda row: str(100 + row)), "row_number", "counts rows from 100 to 139"),
        (cells(lambda row: f"u{row}"), "id", f"{ROWS} different texts in {ROWS} rows"),
        (cells(lambda row: f"w{row % 30}"), "too_many_values", f"30 different texts in {ROWS} rows"),
        (cells(lambda row: f"it was day {row}"), "free_text", "free text"),
        (cells(lambda row: "abc"[row % 3] * 201), "free_text", "only texts of more than 200 characters"),
        (cells(lambda row: f"0{1 + row % 9}/0{1 + row % 7}/2024"), "ambiguous_date", "month/day/year"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_a_column_that_says_nothing_is_left_out_with_reason_and_figures(
    column: list[str], reason: str, detail: str
) -> None:
    found = decided(column).left_out

    assert found is not None
    assert (found.name, found.reason) == ("it", reason)
    assert detail in found.detail


def test_whole_numbers_without_a_repeat_are_ids_by_their_name_only() -> None:
    jumping = cells(lambda row: str(row * 7919 % 10_007))

    named = decided(jumping, name="customer_id").left_out

    assert (named.reason if named else None) == "id"
    assert decided(jumping, name="income").left_out is None
    assert decided([*jumping[:-3], *(f"{cell}.0" for cell in jumping[:3])], name="customer_id").left_out is None


def test_a_constant_with_gaps_says_something() -> None:
    assert decided(["7", "", "7", ""]).left_out is None


@pytest.mark.parametrize("odd", ["unknown", "12 to 15"])
def test_one_odd_word_among_numbers_is_named_by_line_where_the_column_is_left_out(odd: str) -> None:
    decision = decided([odd if row == 2 else f"{row}.25" for row in range(ROWS)])

    assert decision.left_out is not None
    assert decision.left_out.reason == "too_many_values"
    assert f"{odd!r} in line 4" in decision.left_out.detail
    assert f"1 of {ROWS} cells are no numbers" in decision.left_out.detail


def test_a_line_of_names_among_numbers_is_called_so() -> None:
    decision = decided(["7", "it", *["7", "8"] * 4])

    assert decision.column.type == "categorical"
    assert ["first 'it' in line 3: a line of names" in said for said in decision.warnings] == [True]


def test_texts_that_differ_in_case_only_are_named() -> None:
    (warning,) = decided(["red", "Red", "blue"] * 4).warnings

    assert warning.startswith("'red' and 'Red'")


def test_a_type_that_is_asked_for_wins() -> None:
    column = decided(cells(str), "categorical").column

    assert (column.type, column.texts[:2]) == ("categorical", ("0", "1"))
    assert decided(cells(str), "numeric").left_out is None
    assert decided(["a", "b"], "boolean").column.texts == ("a", "b")
    assert decided(["a" * 201, "b" * 201] * 9, "categorical").left_out is not None  # no category can be one of these


@pytest.mark.parametrize(
    ("column", "asked", "fault"),
    [
        (["a", "b", "c"], "boolean", "expected two values for the type boolean, got 3"),
        (["03/04/2020", "05/06/2020"], "datetime", "day/month/year or month/day/year"),
    ],
)
def test_a_type_that_is_impossible_is_a_fault(column: list[str], asked: ColumnType, fault: str) -> None:
    assert fault in decided(column, asked).fault


@pytest.mark.parametrize(
    ("texts", "truth"),
    [
        (["t", "F"], ("F", "t")),
        (["on", "off"], ("off", "on")),
        (["yes", "false"], None),
        (["yes", "Yes"], None),
        (["no", "yes", "perhaps"], None),
    ],
)
def test_truth_is_two_words_of_one_pair(texts: list[str], truth: tuple[str, str] | None) -> None:
    assert truth_of(texts) == truth


def test_codes_with_leading_zeros_are_text_with_a_warning_unless_numbers_are_wanted() -> None:
    few, many = ([f"{row % share:05}" for row in range(ROWS)] for share in (4, 30))

    used = decided(few)
    assert (used.column.type, used.column.texts) == ("categorical", ("00000", "00001", "00002", "00003"))
    assert used.note == "codes with leading zeros"
    assert "such as '00000'; the type numeric reads them as numbers" in used.warnings[0]
    left = decided(many).left_out
    assert left is not None
    assert "such as '00000'; the type numeric reads them as numbers; has 30 different texts" in left.detail
    assert decided(few, "numeric").column.type == decided(many, "numeric").column.type == "numeric"
