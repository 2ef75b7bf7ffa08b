"""The CSV reader and writer alone: numbers, lines, and bodies that arrive in any pieces."""

from __future__ import annotations

import csv
import io
import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.csv import CsvReader
from app.inference.codecs.lines import MAX_LINE_BYTES
from tests.app.tables import outcome, read, schema_of
from tests.properties import examples

CONTRACT = schema_of(("left", "right"))
HEADER = b"left,right\n"


def reader(*features: str, ignore_extra: bool = False) -> CsvReader:
    return CsvReader(schema_of(features) if features else CONTRACT, ignore_extra=ignore_extra)


def refusal(data: bytes, *features: str, ignore_extra: bool = False) -> InvalidInput | MalformedBody:
    with pytest.raises((InvalidInput, MalformedBody)) as refused:
        read(reader(*features, ignore_extra=ignore_extra), data)
    error = refused.value
    assert isinstance(error, InvalidInput | MalformedBody)
    return error


GOOD = {
    "plain": b"left,right\n1,2\n3,4\n",
    "no final line feed": b"left,right\n1,2\n3,4",
    "carriage returns": b"left,right\r\n1,2\r\n3,4\r\n",
    "carriage returns, no final line feed": b"left,right\r\n1,2\r\n3,4\r",
    "carriage returns alone": b"left,right\r1,2\r3,4\r",
    "carriage returns alone, none at the end": b"left,right\r1,2\r3,4",
    "all line ends": b"left,right\r\n1,2\r3,4\n",
    "blank lines": b"\nleft,right\n\r\n1,2\n\n \r3,4\n\n",
    "byte order mark": b"\xef\xbb\xbfleft,right\n1,2\n3,4\n",
    "byte order mark and quotes": b'\xef\xbb\xbf"left","right"\n1,2\n3,4\n',
    "other order": b"right,left\n2,1\n4,3\n",
    "quoted header": b'"left","right"\n1,2\n3,4\n',
    "quoted numbers": b'left,right\n"1","2"\n3,"4"\n',
    "quoted numbers, carriage returns": b'left,right\r\n"1","2"\r\n3,4\r\n',
    "spaces": b" left , right \n 1 , 2\n3 ,\t4 \n",
    "other spellings": b"left,right\n1.,+2\n03,4.0e+00\n",
    "a comma too many in each line": b"left,right,\n1,2,\n3,4,\n",
    "a comma too many in each row": b"left,right\n1,2,\n3,4, \n",
    "lines quoted as a whole": b'"left,right"\n"1,""2"""\n"3,4"\n',
    "spaces behind the last line": b"left,right\n1,2\n3,4\n  ",
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_same_rows_however_written(data: bytes) -> None:
    assert read(reader(), data) == ([[1, 2], [3, 4]], {})


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_same_rows_wherever_the_body_is_split(data: bytes) -> None:
    for step in range(1, len(data)):
        assert read(reader(), data, step) == ([[1, 2], [3, 4]], {}), step


NUMBERS = {
    "1.": 1.0,
    ".5": 0.5,
    "-.5": -0.5,
    "+1": 1.0,
    "01": 1.0,
    "-007.50": -7.5,
    "1e3": 1e3,
    "1E-3": 1e-3,
    '"1"': 1.0,
    ' "1"': 1.0,
    " 1\t": 1.0,
    "3.4028235e38": 3.4028235e38,
    "1e-50": 0.0,
    "12345678901234567890": 12345678901234567890.0,
    "0." + "3" * 200: 1 / 3,
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_number_is_read_as_the_nearest_float32(text: str, value: float) -> None:
    rows, wrong = read(reader(), HEADER + text.encode() + b",7\n")

    assert (rows, wrong) == ([[float(np.float32(value)), 7]], {})


FINITE = "must be a finite number within float32, at most 3.4e38 either way"
TEXT = "must be a number, got text"
NO_NUMBERS = {
    "1e39": FINITE,
    "-1e39": FINITE,
    "1e999": FINITE,
    "nan": FINITE,
    "NaN": FINITE,
    "inf": FINITE,
    "-Infinity": FINITE,
    "": "must be a number, got an empty field",
    "  ": "must be a number, got an empty field",
    '""': "must be a number, got an empty field",
    "text": TEXT,
    "1_0": TEXT,
    "0x10": TEXT,
    "1 2": TEXT,
    "1;2": TEXT,
    '"1,5"': TEXT,
    "true": TEXT,
    "false": TEXT,
    "null": TEXT,
    "[1]": TEXT,
    "{}": TEXT,
    "\uff11": TEXT,  # full width
    "١٢": TEXT,
    "\x00": TEXT,
    "--1": TEXT,
}


@pytest.mark.parametrize(("text", "problem"), NO_NUMBERS.items(), ids=map(repr, NO_NUMBERS))
@pytest.mark.parametrize("column", [0, 1])
def test_what_is_no_number_is_wrong_with_line_and_column(text: str, problem: str, column: int) -> None:
    fields = ["7", "7"]
    fields[column] = text
    data = HEADER + b"1,2\n" + ",".join(fields).encode() + b"\n3,4\n"

    blocks = list(reader().feed(data))

    assert blocks[0].bad == {1: Problem(3, ("left", "right")[column], problem)}
    assert blocks[0].x.tolist() == [[1, 2], [0, 0], [3, 4]]


MALFORMED = "is not CSV in UTF-8"
BEHIND_A_QUOTE = f"{MALFORMED}: text follows a closing quote; a quote within a field is doubled"
BAD_LINES = {
    "too few columns": (b"1", "has 1 columns, the first line names 2"),
    "too many columns": (b"1,2,3", "has 3 columns, the first line names 2"),
    "an empty text": (b'""', "has 1 columns, the first line names 2"),
    "a blank that is no space": ("\u00a0".encode(), "has 1 columns, the first line names 2"),
    "text behind a quote": (b'"1"x,2', BEHIND_A_QUOTE),
    "not UTF-8": (b"\xff,2", MALFORMED),
}


@pytest.mark.parametrize(("line", "problem"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_line_hurts_no_other(line: bytes, problem: str) -> None:
    assert read(reader(), HEADER + b"1,2\n" + line + b"\n3,4\n") == ([[1, 2], [0, 0], [3, 4]], {3: problem})


def test_lines_whose_commas_add_up_are_wrong_all_the_same() -> None:
    rows, wrong = read(reader(), HEADER + b"1\n2,3,4\n5,6\n")

    assert rows == [[0, 0], [0, 0], [5, 6]]
    assert list(wrong) == [2, 3]


BLANK = {"empty": b"", "spaces": b"  ", "tab": b"\t"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("line", BLANK.values(), ids=BLANK.keys())
@pytest.mark.parametrize("features", [("left",), ("left", "right")], ids=["one column", "two"])
def test_f10_blank_lines_are_passed_over_counted_and_change_no_line_number(
    features: tuple[str, ...], line: bytes, end: bytes
) -> None:
    header = ",".join(features).encode()
    row, wrong = (b",".join([cell] * len(features)) for cell in (b"5", b"x"))
    listed = [line, line, header, line, row, line, wrong, line, line, row, line]
    for last in (b"", end):
        data = end.join(listed) + last
        for step in range(1, len(data) + 1):
            lines = reader(*features)
            rows, bad = read(lines, data, step)
            assert rows == [[5] * len(features), [0] * len(features), [5] * len(features)]
            assert list(bad) == [7]
            assert lines.blank_lines == 7 - (line + last == b"")  # what ends in a line end has no line behind it


@pytest.mark.parametrize("many", [1, 3, 400_000])
def test_f10_blank_lines_above_the_header_are_passed_over_however_many(many: int) -> None:
    lines = reader()

    rows, bad = read(lines, b"\xef\xbb\xbf" + b"\n" * many + b" left,right\n1,2\n1,x\n", 16 << 10)

    assert (rows, list(bad), lines.blank_lines) == ([[1, 2], [0, 0]], [many + 3], many)


def test_f10_header_that_is_wrong_is_named_by_its_line() -> None:
    error = refusal(b"\n\nleft\n1\n")

    assert isinstance(error, InvalidInput)
    assert str(error).startswith("line 3, column 'right'")
    assert error.problems[0].row == 3


def test_line_numbers_go_on_over_all_pieces() -> None:
    data = HEADER + b"1,2\n" * 5000 + b"1,x\n" + b"1,2\n" * 5000 + b"1,y\n"

    rows, wrong = read(reader(), data, 1 << 10)

    assert len(rows) == 10_002
    assert wrong == {5002: TEXT, 10_003: TEXT}


@pytest.mark.parametrize("data", [b"", b"\n", b"left\n1\n", b"x,y\n1,2\n", b"1,2\n"])
def test_missing_column_is_named(data: bytes) -> None:
    error = refusal(data)

    assert isinstance(error, InvalidInput)
    missing = error.problems[0]
    assert (missing.row, missing.feature) == (1, "right" if data.startswith(b"left") else "left")
    assert str(error).startswith(f"line 1, column {missing.feature!r}: is missing")


def test_unknown_columns_are_named_with_the_nearest_feature_and_the_way_out() -> None:
    error = refusal(b"left,sold,right,Rigth\n")

    way_out = "leave it out or add ?ignore_extra=true"
    assert error.problems == (
        Problem(1, "sold", f"is not a column of the model; {way_out}"),
        Problem(1, "Rigth", f"is not a column of the model; did you mean 'right'?; {way_out}"),
    )


def test_unknown_columns_may_be_ignored_whatever_they_hold() -> None:
    data = b'id,right,note,left\n7,2,"a, b",1\nx,4,,3\n'

    assert read(reader(ignore_extra=True), data) == ([[1, 2], [3, 4]], {})


@pytest.mark.parametrize("ignore_extra", [False, True])
@pytest.mark.parametrize("header", [b"left,right,left", b"left,left,right", b"left,right, right "])
def test_column_named_twice_is_refused(header: bytes, ignore_extra: bool) -> None:
    assert "is named twice" in str(refusal(header + b"\n1,2,3\n", ignore_extra=ignore_extra))


@pytest.mark.parametrize("data", [HEADER, HEADER[:-1], HEADER[:-1] + b"\r\n"])
def test_header_alone_has_no_rows(data: bytes) -> None:
    assert read(reader(), data) == ([], {})


@pytest.mark.parametrize("header", [b'"left,right\n', b"left,right\xff\n"])
def test_header_that_is_no_csv_is_malformed(header: bytes) -> None:
    assert isinstance(refusal(header), MalformedBody)


@pytest.mark.parametrize("head", [b"", HEADER], ids=["first line", "second line"])
def test_line_that_never_ends_is_refused_long_before_memory_is_full(head: bytes) -> None:
    endless = head + b"1" * (2 * MAX_LINE_BYTES)

    with pytest.raises(MalformedBody):
        read(reader(), endless, 16 << 10)


LOST = "`curl -d` takes the line ends out of a file; send it with --data-binary"


@pytest.mark.parametrize("features", [("left",), ("left", "right"), ("left", "right", "x")])
def test_line_ends_that_curl_took_are_hinted_at(features: tuple[str, ...]) -> None:
    data = ",".join(features).encode() + b",".join([b"1"] * len(features)) * 3

    assert LOST in str(refusal(data, *features))
    assert LOST in str(refusal(b"1," * MAX_LINE_BYTES, *features))


@pytest.mark.parametrize("data", [b"", b"left", b"left,rihgt\n1,2\n", b"left1,2,3,4\n"])
def test_line_ends_are_not_said_to_be_lost_where_they_may_not_be(data: bytes) -> None:
    assert "curl" not in str(refusal(data))


def test_feature_names_may_need_quotes() -> None:
    names = ('the "right"', "a,b", "ünder", "  x"[2:])
    header = io.StringIO()
    csv.writer(header).writerow(names)

    assert read(reader(*names), header.getvalue().encode() + b"1,2,3,4\r\n") == ([[1, 2, 3, 4]], {})


fields = st.one_of(
    st.floats(width=32).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from([*NUMBERS, *NO_NUMBERS, "1\r", '"', '""1"', "null", "1e1000000"]),
    st.text(alphabet='0123456789.eE+-, "\r\t[]{}_x', max_size=5),
)
lines = st.lists(st.lists(fields, min_size=1, max_size=3).map(",".join), max_size=6)


@examples(70)
@hypothesis.given(lines, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.integers(1, 40), st.booleans())
def test_any_body_gives_the_same_whole_and_split(
    listed: list[str], feed: str, ended: bool, step: int, single: bool
) -> None:
    features = ("left",) if single else ("left", "right")
    data = feed.join([",".join(features), *listed, *([""] if ended else [])]).encode()

    assert outcome(reader(*features), data) == outcome(reader(*features), data, step)


@examples(70)
@hypothesis.given(
    st.lists(st.tuples(st.floats(allow_nan=False, width=32), st.floats(allow_nan=False, width=32)), min_size=1),
    st.sampled_from(["%r", "%.9g", "%+.17e", " %r ", '"%r"']),
)
def test_numbers_are_read_as_python_reads_them(values: list[tuple[float, float]], style: str) -> None:
    data = HEADER + b"".join(",".join(style % value for value in row).encode() + b"\n" for row in values)

    rows, wrong = read(reader(), data)

    expected = [[float(np.float32(float((style % value).strip(' "')))) for value in row] for row in values]
    finite = [bool(np.isfinite(row).all()) for row in expected]
    assert list(itertools.compress(rows, finite)) == list(itertools.compress(expected, finite))
    assert sorted(wrong) == [2 + place for place, fine in enumerate(finite) if not fine]
