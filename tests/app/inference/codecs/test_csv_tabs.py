"""Rows with tabs between the fields are read as those with commas."""

from __future__ import annotations

import pytest

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs.csv import CsvReader
from tests.app.tables import schema_of


def read(body: bytes, *features: str, piece: int = 1 << 20, ignore_extra: bool = False) -> list[list[float]]:
    reader = CsvReader(schema_of(features), ignore_extra=ignore_extra, delimiter="\t")
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    blocks = [block for part in pieces for block in reader.feed(part)] + list(reader.finish())
    for block in blocks:
        if block.bad:
            problem = next(iter(block.bad.values()))
            raise InvalidInput(problem.problem, (problem,))
    return [row for block in blocks for row in block.x.tolist()]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_are_read_in_pieces_of_any_size(piece: int, end: str) -> None:
    body = "\ufeffb\ta\n1\t2\n3.5\t-4e1" + end

    assert read(body.encode(), "a", "b", piece=piece) == [[2, 1], [-40, 3.5]]


def test_name_may_hold_a_comma_or_a_quote() -> None:
    assert read(b'"a, b"\t"say ""x"""\n1\t2\n', "a, b", 'say "x"') == [[1, 2]]
    assert read(b"a, b\tc\n1\t2\n", "a, b", "c") == [[1, 2]]


@pytest.mark.parametrize("line", [b"1,5\t2", b"1,5,2", b"1,2,3\t4\t5"])
def test_comma_parts_no_fields(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(b"a\tb\tc\n" + line + b"\n", "a", "b", "c")


def test_columns_that_the_model_does_not_know_can_be_left_out() -> None:
    body = b'note\ta\nx, y\t1\n"p\tq"\t2\n'

    assert read(body, "a", ignore_extra=True) == [[1], [2]]


def test_first_line_that_is_no_text_is_refused() -> None:
    with pytest.raises(MalformedBody):
        read(b"\xff\xfe\n1\n", "a")
