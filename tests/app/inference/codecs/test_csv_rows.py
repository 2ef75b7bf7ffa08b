"""Rows below a CSV header: quoted line ends; record by record only where there are quotes."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs.csv import CsvReader
from app.inference.codecs.csv_rows import CsvRows, Quotes
from app.inference.codecs.lines import MAX_LINE_BYTES
from app.schema import ModelSchema
from modelstore import CategoricalFeature, Dialect, NumericFeature
from modelstore.dialect import USUAL
from tests.app.tables import pieces, read, schema_of
from tests.properties import examples

TEXTS = ("one", "two\nlines", "three\r\nlines\r\nof them", 'a "quote"', "comma, and\rCR")


def schema() -> ModelSchema:
    """Return a schema whose second feature has texts of several lines, also in its name."""
    note = CategoricalFeature(name="the\r\nnote", categories=dict.fromkeys(TEXTS, 9))
    number = NumericFeature(name="n", mean=0, std=1, min=0, max=9, quantiles=(1,) * 9)
    return ModelSchema.of_features("texts", 1, (number, note), ("a", "b"))


def reader() -> CsvReader:
    return CsvReader(schema(), ignore_extra=False)


def written(end: str, *, quoting: int = csv.QUOTE_MINIMAL) -> tuple[bytes, list[int]]:
    """Return a row of each text, and the lines in which they begin."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["the\r\nnote", "n"])
    numbers = []
    for place, note in enumerate(TEXTS):
        numbers.append(1 + len(list(io.StringIO(text.getvalue(), newline=""))))
        writer.writerow([note, place])
    return text.getvalue().encode(), numbers


WRITTEN = {
    "few quotes": written("\r\n"),
    "texts quoted": written("\n", quoting=csv.QUOTE_NONNUMERIC),
    "all quoted": written("\r", quoting=csv.QUOTE_ALL),
}


@pytest.mark.parametrize(("data", "numbers"), WRITTEN.values(), ids=WRITTEN.keys())
def test_quoted_cells_and_names_may_have_line_ends_wherever_the_body_is_cut(data: bytes, numbers: list[int]) -> None:
    assert len(set(np.diff(numbers))) > 1  # some rows take several lines

    for step in range(1, len(data) + 1):
        rows = reader()
        blocks = [
            block for start in range(0, len(data), step) for block in rows.feed(data[start : start + step])
        ] + list(rows.finish())
        assert [row for block in blocks for row in block.x.tolist()] == [[at, at] for at in range(len(TEXTS))]
        assert [block.number(place) for block in blocks for place in range(len(block.x))] == numbers
        assert rows.blank_lines == 0


def test_bad_cell_is_named_by_the_line_in_which_its_row_begins() -> None:
    data = b'n,"the\r\nnote"\n1,one\n\n2,"two\nlines"\nx,one\n"y","two\nlines"\n3,one\n'

    for step in range(1, len(data) + 1):
        rows, wrong = read(reader(), data, step)
        assert rows == [[1, 0], [2, 1], [0, 0], [0, 0], [3, 0]]
        assert wrong == {7: "must be a number, got text", 8: "must be a number, got text"}


@pytest.mark.parametrize(
    ("rows", "lines"), [(b'1,"one\n2,one\n3,one\n', [3]), (b'1,one\n2,"', [4])], ids=["first of three", "last"]
)
def test_quote_that_is_never_closed_is_named_by_its_line(rows: bytes, lines: list[int]) -> None:
    found = read(reader(), b'n,"the\r\nnote"\n' + rows)[1]

    assert found == dict.fromkeys(lines, "opens a quote that is never closed")


def test_row_that_never_ends_is_refused_by_its_line_before_memory_is_full() -> None:
    endless = b'left,right\n1,2\n"' + b'\n","' * (MAX_LINE_BYTES // 2)

    with pytest.raises(MalformedBody, match=f"line 3 begins a row of more than {MAX_LINE_BYTES} bytes"):
        read(CsvReader(schema_of(("left", "right")), ignore_extra=False), endless, 16 << 10)


def test_header_whose_quote_is_never_closed_is_refused() -> None:
    with pytest.raises((MalformedBody, InvalidInput), match="CSV"):
        read(reader(), b'"n,note\n1,one\n')


def test_lines_of_numbers_are_read_at_once_and_others_declined() -> None:
    rows = CsvRows(schema_of(("left", "right")), ["right", "left"], ";")

    x = rows.convert_lines(b"1;2\n3;4")
    assert x is not None
    assert x.tolist() == [[2, 1], [4, 3]]
    assert rows.convert_lines(b"1;2\n3") is None
    assert rows.convert_lines(b"1;2\n3;x") is None
    with pytest.raises(InvalidInput, match="must be a number"):
        rows.convert_line(b"1;x")


def test_optional_column_of_numbers_may_be_absent() -> None:
    types = [
        NumericFeature(name=name, required=name != "left", mean=0, std=1, min=0, max=9, quantiles=(1,) * 9)
        for name in ("left", "right")
    ]
    contract = ModelSchema.of_features("means", 1, types, ("a", "b"))

    blocks = [*CsvReader(contract, ignore_extra=False).feed(b'right\n1\n"2"\n')]

    assert np.array_equal(blocks[0].x, np.array([[np.nan, 1], [np.nan, 2]], dtype=np.float32), equal_nan=True)
    assert not blocks[0].bad


BLANK = {
    "tabs": ("\t", b"a\tb\n1\t2\n\t\n3\t4\n", [[1, 2], [3, 4]]),
    "tabs and a gap": ("\t", b"a\tb\n1\t\n \t\n3\t4\n", [[1, np.nan], [3, 4]]),
    "one column": (",", b"a\n1\n \n3\n", [[1], [3]]),
    "one column and a gap": (",", b"a\nNA\n \n3\n", [[np.nan], [3]]),
}


@pytest.mark.parametrize(("delimiter", "body", "rows"), BLANK.values(), ids=BLANK.keys())
def test_a_blank_line_is_no_row_of_missing_values(delimiter: str, body: bytes, rows: list[list[float]]) -> None:
    names = "ab"[: len(rows[0])]
    types = [NumericFeature(name=name, mean=0, std=1, min=0, max=9, quantiles=(1,) * 9) for name in names]
    known = ModelSchema.of_features("means", 1, types, ("low", "high"))
    found = CsvReader(known, ignore_extra=False, delimiter=delimiter)

    (block,) = [*found.feed(body), *found.finish()]

    assert np.array_equal(block.x, np.array(rows, dtype=np.float32), equal_nan=True)
    assert (found.blank_lines, block.number(0), block.number(1)) == (1, 2, 4)


WORDS = ("it's", "'x'", '"y"', "a, 'b'", 'say "no"', "two\n'lines'", "plain", "''")


def trained_on(dialect: Dialect) -> ModelSchema:
    """Return a schema of a version whose training file is written in this way."""
    note = CategoricalFeature(name="note", categories=dict.fromkeys(WORDS, 9))
    number = NumericFeature(name="n", mean=0, std=1, min=0, max=9, quantiles=(1,) * 9)
    return ModelSchema.of_features("texts", 1, (number, note), ("a", "b"), dialect=dialect.or_else(USUAL))


@examples(60)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 9)), min_size=1, max_size=6),
    st.sampled_from([csv.QUOTE_NONNUMERIC, csv.QUOTE_ALL]),
    st.sampled_from(["'", '"', "\\"]),
    st.integers(1, 60),
)
def test_rows_are_the_same_in_the_quotes_of_the_training_file_and_in_double_ones(
    table: list[tuple[str, int]], quoting: int, mark: str, step: int
) -> None:
    quote, escape = ('"', mark) if mark == "\\" else (mark, None)
    text = io.StringIO(newline="")
    writer = csv.writer(text, quotechar=quote, quoting=quoting, escapechar=escape, doublequote=escape is None)  # type: ignore[arg-type]
    writer.writerows([("note", "n"), *table])
    dialect = Dialect(escape="\\") if escape else Dialect(quote="'")
    rows = CsvReader(trained_on(dialect), ignore_extra=False)

    blocks = [block for piece in pieces(text.getvalue().encode(), step) for block in rows.feed(piece)]
    blocks += rows.finish()

    found = np.concatenate([block.x for block in blocks])
    assert [problem for block in blocks for problem in block.bad.values()] == []
    assert found.tolist() == [[n, WORDS.index(word)] for word, n in table]


def test_first_cell_that_begins_with_a_quote_decides() -> None:
    quotes = Quotes("'")
    quotes.detect(b'O\'Brien,say "x"', ",", begins=True)
    assert (quotes.mark, quotes.are_open) == ('"', True)
    quotes.detect(b"1, 'x', \"y\"", ",", begins=False)
    assert (quotes.mark, quotes.are_open) == ("'", False)
    assert not Quotes('"').are_open
