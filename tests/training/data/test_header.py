"""Names of the columns: which can be used, and what is said about those that cannot."""

from __future__ import annotations

import pytest

from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS
from training.data.faults import Faults
from training.data.header import list_names, names_are_right, require_columns


@pytest.mark.parametrize(
    "names",
    [("width", "kind"), ("0", "1", "2"), ("width", "1.5", "kind"), ("kind",)],
    ids=["words", "numbers as pandas writes them", "few numbers", "one"],
)
def test_names_that_can_be_used_have_no_fault(names: tuple[str, ...]) -> None:
    faults = Faults()

    assert names_are_right(names, 1, faults)
    assert not faults


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("", ""), "expected a line of column names, got empty cells"),
        (("a", "b", "a"), "got this one twice, in columns 1 and 3"),
        (("a" * (MAX_NAME_CHARACTERS + 1), "b"), "expected names of 1 to 200 characters"),
        (tuple(f"c{n}" for n in range(MAX_COLUMNS + 1)), "expected at most 10000 columns, got 10001"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_that_cannot_be_used_are_a_fault_of_their_line(names: tuple[str, ...], problem: str) -> None:
    faults = Faults()

    assert not names_are_right(names, 4, faults)

    (fault,) = faults.sorted()
    assert (fault.line, problem in fault.problem) == (4, True), fault.problem


def test_a_name_that_is_no_column_is_a_fault_with_the_nearest_one() -> None:
    faults = Faults()

    require_columns(faults, ("width", "height"), ("height", "widht"), ", to which `types` gives a type")

    (fault,) = faults.sorted()
    assert fault.column == "widht"
    assert fault.problem == (
        "expected this column, to which `types` gives a type, got 'width', 'height'; perhaps 'width' is meant"
    )


def test_of_many_names_the_first_are_listed() -> None:
    assert list_names(("a", "b")) == "'a', 'b'"
    assert list_names(tuple(f"c{n}" for n in range(30))).endswith("'c19', ...")
