"""Files of any size become bodies of whole records."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from tabserve import WrongInput, files, tables


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_is_split_between_records_though_quoted_cells_hold_line_ends(
    tmp_path: Path, end: str, *, zipped: bool
) -> None:
    rows = [[str(row), f'say "{end}{row}"{end}' if row % 3 == 0 else "plain" * 9] for row in range(40_000)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([["x", "t"], *rows])
    path = tmp_path / ("rows.csv.gz" if zipped else "rows.csv")
    path.write_bytes(gzip.compress(text.getvalue().encode()) if zipped else text.getvalue().encode())

    bodies = list(files.file_bodies(path))

    assert len(bodies) > 1
    assert max(len(body.content) for body in bodies) <= tables.MAX_BODY_BYTES
    read = [list(csv.reader(io.StringIO(body.content.decode(), newline=""))) for body in bodies]
    assert all(part[0] == ["x", "t"] for part in read)
    assert [row for part in read for row in part[1:]] == rows
    lines = text.getvalue().count(end) - 1
    assert bodies[-1].before + bodies[-1].content.decode().count(end) - 1 == lines


def test_a_quote_within_an_unquoted_cell_is_text(tmp_path: Path) -> None:
    rows = [
        line
        for row in range(9_000)
        for line in (f'{row};5" pipe, "long;a\n', f' "{row}\n"; "say ""\n""";b\n', f'{row};"";"\n;"\n')
    ]
    path = tmp_path / "rows.csv"
    path.write_text('x;size in ";t\n' + "".join(rows))

    bodies = [body.content.decode() for body in files.file_bodies(path, few=True)]

    assert len(bodies) > 100
    read = [list(csv.reader(io.StringIO(body), delimiter=";", skipinitialspace=True, strict=True)) for body in bodies]
    assert all(part[0] == ["x", 'size in "', "t"] for part in read)
    assert [row for part in read for row in part[1:]] == [
        row
        for number in range(9_000)
        for row in (
            [f"{number}", '5" pipe, "long', "a"],
            [f"{number}\n", 'say "\n"', "b"],
            [f"{number}", "", "\n;"],
        )
    ]


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson"])
def test_no_body_is_larger_where_characters_have_several_bytes(tmp_path: Path, name: str) -> None:
    line = "1," + "\N{CJK UNIFIED IDEOGRAPH-9375}" * 98 + "\n"
    rows, header = line * 12_000, "" if name.endswith("json") else "x,t\n"
    (tmp_path / name).write_text(header + rows)

    bodies = list(files.file_bodies(tmp_path / name))

    assert max(len(body.content) for body in bodies) <= tables.MAX_BODY_BYTES
    assert "".join(body.content.decode().removeprefix(header) for body in bodies) == rows
    ends = [body.before + (len(body.content.decode()) - len(header)) // len(line) for body in bodies]
    assert [body.before for body in bodies] == [0, *ends[:-1]]


def test_lines_of_json_and_other_encodings_are_read(tmp_path: Path) -> None:
    lines = tmp_path / "rows.ndjson"
    lines.write_bytes(b'{"t": "say \\"x"}\n' * 3)
    french = tmp_path / "rows.tsv"
    french.write_bytes("x\tt\n1\tété\n".encode("cp1252"))

    assert [body.content for body in files.file_bodies(lines)] == [lines.read_bytes()]
    (body,) = files.file_bodies(french, "cp1252")
    assert (body.content.decode(), body.content_type, body.answered) == ("x\tt\n1\tété\n", tables.TABS, tables.CSV)
    with pytest.raises(WrongInput, match="not written in utf-8; name its encoding, such as cp1252"):
        list(files.file_bodies(french))
    with pytest.raises(WrongInput, match=r"rows.xlsx: expected a file ending in .csv"):
        list(files.file_bodies(tmp_path / "rows.xlsx"))


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.ndjson.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "UTF8"])
def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path, name: str, encoding: str) -> None:
    text = b'\xef\xbb\xbf{"x": 1}\n'
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)

    assert [body.content for body in files.file_bodies(tmp_path / name, encoding)] == [b'{"x": 1}\n']


def test_an_encoding_that_is_none_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    whole = gzip.compress(b"".join(b"%d,%d\n" % (row, row * row) for row in range(999)))
    damaged = whole[:300] + bytes(each ^ 255 for each in whole[300:320]) + whole[320:]
    for content in (whole[:-9], damaged, b"x\n1\n"):
        path.write_bytes(content)
        with pytest.raises(WrongInput, match=r"rows.csv.gz is not complete, or no file of gzip"):
            list(files.file_bodies(path))
    for encoding in ("cp12520", "base64"):
        with pytest.raises(WrongInput, match=f"encoding '{encoding}' is not known"):
            list(files.file_bodies(path, encoding))


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('x,t\n1,"' + "a\n" * 2_000_000)

    with pytest.raises(WrongInput, match="is a quote not closed"):
        list(files.file_bodies(path))


def test_rows_that_take_long_are_sent_in_small_bodies(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x\n" + "1.5\n" * 3000)

    assert len(list(files.file_bodies(tmp_path / "rows.csv", few=True))) == 3


@pytest.mark.parametrize("head", ["", "c2;c1\n", '"c1","c2"\n'])
def test_a_first_row_is_no_header_where_the_training_file_had_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(files, "PIECE_CHARACTERS", 60)
    rows = "".join(f"{row},abc1\n" for row in range(50))
    (tmp_path / "rows.csv").write_text(head + rows)

    bodies = list(files.file_bodies(tmp_path / "rows.csv", names={"c1": "numeric", "c2": "categorical"}))

    assert len(bodies) > 4
    assert "".join(body.content.decode().removeprefix(head) for body in bodies) == rows
    assert [body.before for body in bodies][1:] == [int(b.content.decode()[len(head) :].split(",")[0]) for b in bodies][
        1:
    ]
