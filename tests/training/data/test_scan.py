"""One reading of a file for the profiles of its columns."""

from __future__ import annotations

import io

import numpy as np
import pytest

from modelstore import DataOptions
from training.data.block import Block
from training.data.csv_blocks import CsvFile
from training.data.profile import MAX_TEXTS, Profile
from training.data.scan import NeedsText, add_block, numbers_of, profiles_of, read_missing, require_texts


def block(text: str, as_text: set[int], missing: frozenset[str] = frozenset({"", "NA"})) -> Block:
    """Return the only block of a file."""
    file = CsvFile(io.BytesIO(text.encode()))
    assert file.read_header()
    assert read_missing(file, missing)
    (found,) = file.blocks(as_text)
    return found


def scanned(text: str, as_text: set[int]) -> list[Profile]:
    profiles = profiles_of(("a", "b", "c"), DataOptions())
    add_block(profiles, block(text, as_text), as_text, range(3), frozenset({"", "NA"}))
    return profiles


def test_numbers_and_texts_are_profiled_in_one_pass() -> None:
    numbers, gaps, texts = scanned("a,b,c\n1,2.5,x\n4,NA,\n3,-7,x\n", {2})

    assert (numbers.low, numbers.high, numbers.whole, numbers.missing) == (1, 4, True, 0)
    assert (gaps.low, gaps.high, gaps.whole, gaps.missing) == (-7, 2.5, False, 1)
    assert (texts.counts, texts.missing) == ({"x": 2}, 1)


def test_all_columns_that_must_be_read_as_text_are_named_at_once() -> None:
    with pytest.raises(NeedsText) as caught:
        scanned("a,b,c\n1,Ulm,True\n2,Bonn,False\n", set())

    assert caught.value.positions == {1, 2}


def test_numbers_that_were_read_are_handed_on_with_gaps_as_nan() -> None:
    found = add_block(
        profiles_of(("a", "b"), DataOptions()), block("a,b\n1,x\n,y\n", {1}), {1}, (0, 1), frozenset({""})
    )

    assert found.keys() == {0}
    np.testing.assert_array_equal(found[0], [1, np.nan])


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1", "2"], [1, 2]),
        (["1", "NA", '" 2"'], [1, np.nan, 2]),
        (["1", "Ulm"], None),
        (["True", "False"], None),
        (["1_000", "2"], None),
    ],
    ids=["whole", "gap and blank", "word", "truth", "underscore"],
)
def test_a_column_is_numbers_only_if_each_other_cell_is_one(cells: list[str], numbers: list[float] | None) -> None:
    found = numbers_of(block("a,b\n" + "".join(f"{cell},x\n" for cell in cells), {1}), 0, frozenset({"", "NA"}))

    if numbers is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, numbers)


def test_a_number_that_means_missing_is_compared_as_text() -> None:
    file = CsvFile(io.BytesIO(b"a,b\n99,x\n99.0,y\n"))

    assert not read_missing(file, frozenset({"", "99"}))
    assert read_missing(file, frozenset({"", "none"}))


def test_all_texts_are_kept_of_a_column_that_shall_be_categorical() -> None:
    texts = [f"t{number}" for number in range(MAX_TEXTS + 1)]
    profiles = profiles_of(("a", "b"), DataOptions(types={"a": "categorical"}))
    for profile in profiles:
        profile.add_texts(np.arange(len(texts)), texts, np.arange(len(texts)))

    assert [profile.counts is None for profile in profiles] == [False, True]


def test_numbers_that_may_be_days_must_be_read_as_text() -> None:
    text = "day,gap,number,bad\n20240131,20240131,1,20240132\n20240201,,2,20240201\n"
    profiles = profiles_of(("day", "gap", "number", "bad"), DataOptions())
    add_block(profiles, block(text, set()), set(), range(4), frozenset({"", "NA"}))

    with pytest.raises(NeedsText) as needed:
        require_texts(profiles, set(), range(4))

    assert needed.value.positions == {0, 1}
    require_texts(profiles, {0, 1}, range(4))
