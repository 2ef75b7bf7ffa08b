"""Lines with any ends and in any pieces: read together or, where declined, one by one."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.lines import MAX_LINE_BYTES, LineEnds, LineReader
from app.schema import Float32
from tests.app.tables import read, schema_of
from tests.properties import examples


def together(text: bytes) -> Float32 | None:
    """Read lines of one digit each; decline whatever else is there."""
    lines = text.split(b"\n")
    return np.array([[int(line)] for line in lines], np.float32) if all(map(bytes.isdigit, lines)) else None


def alone(line: bytes) -> Float32:
    if line == b"?":
        raise MalformedBody("is no line")
    if not line.isdigit():
        raise InvalidInput("wrong", (Problem(None, "only", "is no digit"),))
    return np.array([[int(line)]], np.float32)


def reader() -> LineReader:
    return LineReader(schema_of(("only",)), together, alone, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("step", range(1, 8))
def test_lines_end_in_any_of_three_ways_wherever_the_body_is_cut(end: str, step: int) -> None:
    assert read(reader(), f"1{end}2{end}3".encode(), step) == ([[1], [2], [3]], {})


@examples(35)
@hypothesis.given(st.lists(st.sampled_from(["\r", "\n", "a"]).map(str.encode), max_size=12), st.integers(1, 5))
def test_line_ends_are_unified_alike_whole_and_in_pieces(parts: list[bytes], step: int) -> None:
    ends = LineEnds()

    pieces = b"".join(
        ends.unify(b"".join(piece)) for piece in (parts[at : at + step] for at in range(0, len(parts), step))
    )

    assert pieces == b"".join(parts).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def test_bad_lines_are_named_and_hurt_no_other() -> None:
    rows, wrong = read(reader(), b"1\nx\n\n?\n5\n")

    assert rows == [[1], [0], [0], [5]]
    assert wrong == {2: "is no digit", 4: "is no line"}


def test_blank_lines_are_counted_and_change_no_number() -> None:
    lines = reader()

    blocks = [*lines.feed(b"\n \t\n3\n\n5\n\n"), *lines.finish()]

    assert [(block.number(place), block.x[place, 0]) for block in blocks for place in range(len(block.x))] == [
        (3, 3),
        (5, 5),
    ]
    assert lines.blank_lines == 4


def test_line_that_never_ends_is_refused_before_memory_is_full() -> None:
    lines = reader()
    assert list(lines.feed(b"1" * MAX_LINE_BYTES)) == []

    with pytest.raises(MalformedBody, match=f"line 1 has more than {MAX_LINE_BYTES} bytes"):
        list(lines.feed(b"1"))
