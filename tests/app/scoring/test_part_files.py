"""A part is finished as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.scoring.errors import ScoringError
from app.scoring.part_files import FinishedPart, PartFiles
from app.scoring.plan import ENGINE

DONE = FinishedPart(3, 1, ("rows.csv, line 2: wrong",), 7)


def test_a_part_is_finished_once_its_record_is_there(tmp_path: Path) -> None:
    files = PartFiles(tmp_path / "parts")
    with files.lock():
        files.begin({ENGINE: "a"})
        with files.writing(4) as path:
            path.write_bytes(b"answers")
        assert (files.find(4), files.list_finished()) == (None, [])
        files.finish(4, DONE)

        assert files.find(4) == DONE
        assert files.answers(4).read_bytes() == b"answers"
        assert files.plan() == {ENGINE: "a"}
        files.begin({ENGINE: "b"})
        assert (files.find(4), files.plan()) == (None, {ENGINE: "b"})
        files.remove()
    assert not files.folder.exists()


def test_what_was_not_written_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    files = PartFiles(tmp_path)

    def write() -> None:
        with files.writing(0) as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    problem = "another run writes this output now"
    with PartFiles(tmp_path).lock(), pytest.raises(ScoringError, match=problem), PartFiles(tmp_path).lock():
        pass


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ScoringError, match="holds other files"), PartFiles(tmp_path).lock():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_record_that_is_none_is_a_part_that_is_not_finished(tmp_path: Path) -> None:
    files = PartFiles(tmp_path)
    for broken in (b"{}", b"\x00not json", b"[1]"):
        (tmp_path / "plan.json").write_bytes(broken)
        (tmp_path / "00000001.json").write_bytes(broken)
        assert (files.plan(), files.find(1)) == (None, None)
