"""The messages of an Arrow stream are found by their heads alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from app.scoring.arrow_cuts import messages
from app.scoring.errors import ScoringError
from tests.app.scoring.samples import write_rows


@pytest.mark.parametrize("name", ["rows.arrow", "rows.arrows", "compressed.arrow"])
def test_messages_are_those_that_pyarrow_reads(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, rows=250, group=100)
    with path.open("rb") as file:
        found = list(messages(file))

    assert [(each.is_batch, each.rows) for each in found] == [(False, 0), (True, 100), (True, 100), (True, 50)]
    text = path.read_bytes()
    stream = b"".join(text[begin:end] for begin, end in (each.place for each in found))
    assert pa.ipc.open_stream(stream).read_all().num_rows == 250


def test_a_file_that_is_cut_off_or_no_arrow_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.arrows", rows=1000)
    path.write_bytes(path.read_bytes()[:3000])
    with path.open("rb") as file, pytest.raises(ScoringError, match=r"rows.arrows: ends within a message"):
        list(messages(file))
    path.write_bytes(b"left,right\n1,2\n")
    with path.open("rb") as file, pytest.raises(ScoringError, match="is no Arrow IPC file or stream"):
        list(messages(file))


def test_a_file_without_a_footer_is_refused_because_rows_may_be_missing(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.arrow", rows=250, group=100)
    with path.open("rb") as file:
        second = list(messages(file))[2].place[1]
    path.write_bytes(path.read_bytes()[:second])

    with path.open("rb") as file, pytest.raises(ScoringError, match=r"rows.arrow: has no footer, so rows may be mis"):
        list(messages(file))


@pytest.mark.parametrize("head", [b"\xee" * 16, b"\1" * 8])
def test_a_damaged_message_is_named(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "rows.arrows"
    path.write_bytes(b"\xff\xff\xff\xff" + len(head).to_bytes(4, "little") + head)

    with path.open("rb") as file, pytest.raises(ScoringError, match=r"rows.arrows: is damaged at byte 0"):
        list(messages(file))
