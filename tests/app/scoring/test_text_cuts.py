"""Text is cut where the service's own reader sees a record end."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from app.schema import ModelSchema
from app.scoring.errors import ScoringError
from app.scoring.text_cuts import Cut, Cutter, can_cut
from modelstore import Dialect, NumericFeature

CSV, LINES = "text/csv", "application/x-ndjson"
FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)
SCHEMA = ModelSchema.of_features("sample", 1, [FEATURE], ("a", "b"), ignored=["note"])


def cuts_of(text: bytes, kind: str, part_bytes: int) -> tuple[bytes, list[Cut]]:
    cutter = Cutter(io.BytesIO(text), kind, SCHEMA, "rows", ignore_extra=False)
    found = list(cutter.cuts(part_bytes))
    assert b"".join(cut.content for cut in found) == text[found[0].start :]
    assert all(text[cut.start : cut.stop] == cut.content for cut in found)
    return cutter.head, found


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_part_begins_with_a_line_whose_number_it_knows(end: bytes) -> None:
    head, found = cuts_of(end.join([b"", b"x,note", *(b"%d,n" % n for n in range(50)), b""]), CSV, 40)

    assert head.strip() == b"x,note"
    assert len(found) > 4
    assert [int(cut.content.split(b",")[0]) + 3 for cut in found] == [cut.line for cut in found]


def test_a_quoted_cell_with_line_ends_and_quotes_is_not_cut() -> None:
    rows = [b'%d,"one ""quoted""\ntwo\n"\n' % n for n in range(40)]
    _, found = cuts_of(b"x,note\n" + b"".join(rows), CSV, 60)

    assert len(found) > 10
    assert all(cut.content.endswith(b'\n"\n') for cut in found)
    assert [int(cut.content.split(b",")[0]) * 3 + 2 for cut in found] == [cut.line for cut in found]


def test_a_single_quote_in_a_cell_opens_nothing() -> None:
    _, found = cuts_of(b"x,note\n" + b'1,5" pipe\n' * 20, CSV, 30)

    assert {cut.content for cut in found} <= {b'1,5" pipe\n' * n for n in range(1, 4)}


def test_lines_of_json_have_no_header_and_may_hold_quotes() -> None:
    head, found = cuts_of(b'{"x":1}\n' * 20, LINES, 50)

    assert (head, found[0].line, found[1].line) == (b"", 1, 7)


def test_a_record_that_never_ends_is_left_to_its_reader() -> None:
    _, found = cuts_of(b'x,note\n1,"' + b"a" * (3 << 20), CSV, 1 << 20)

    assert len(found[0].content) > 2 << 20


def test_a_header_without_rows_is_one_part_and_a_wrong_one_is_named() -> None:
    assert [cut.content for cut in cuts_of(b"x\n", CSV, 10)[1]] == [b""]
    assert [cut.content for cut in cuts_of(b"x", CSV, 10)[1]] == [b""]
    with pytest.raises(ScoringError, match=r"rows: line 1, column 'x'.* is missing"):
        cuts_of(b"y\n1\n", CSV, 10)


def test_files_of_versions_with_an_unusual_training_file_are_not_cut() -> None:
    unusual = [Dialect(header=False), Dialect(quote="'"), Dialect(encoding="utf-16"), Dialect(escape="\\")]

    assert can_cut(CSV, SCHEMA)
    assert [can_cut(CSV, replace(SCHEMA, dialect=dialect)) for dialect in unusual] == [False] * 4
    assert can_cut(LINES, replace(SCHEMA, dialect=unusual[0]))
