"""Files are found by name, folder and pattern."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from app.scoring.errors import ScoringError
from app.scoring.sources import find_sources


def names(*named: str | Path, output: Path) -> list[str]:
    return [source.path.name for source in find_sources([*map(str, named)], output)]


def test_files_come_in_the_order_of_their_names_and_marks_of_spark_are_no_rows(tmp_path: Path) -> None:
    folder, output = tmp_path / "lake", tmp_path / "out.csv"
    (folder / "day=2").mkdir(parents=True)
    for name in ("b.parquet", "a.csv.gz", "_SUCCESS", ".part.crc", "day=2/c.ndjson"):
        (folder / name).write_bytes(b"x")

    assert names(folder, output=output) == ["a.csv.gz", "b.parquet", "c.ndjson"]
    assert names(folder / "*.parquet", folder / "a.csv.gz", output=output) == ["b.parquet", "a.csv.gz"]
    assert names(folder / "**" / "*.ndjson", output=output) == ["c.ndjson"]
    assert names(folder / "*", output=output) == ["a.csv.gz", "b.parquet"]
    (folder / "_tmp").mkdir()
    (folder / "_tmp" / "d.ndjson").write_bytes(b"x")
    assert names(folder / "**" / "*.ndjson", output=output) == ["c.ndjson"]
    assert names(folder / "_tmp" / "*", output=output) == ["d.ndjson"]
    (source,) = find_sources([str(folder / "a.csv.gz")], output)
    assert (source.kind, source.is_compressed, source.size_bytes) == ("text/csv", True, 1)
    assert source.sha256() == hashlib.sha256(b"x").hexdigest()


def test_what_is_no_file_of_rows_is_refused_by_name(tmp_path: Path) -> None:
    folder, output = tmp_path / "lake", tmp_path / "out.csv"
    folder.mkdir()
    with pytest.raises(ScoringError, match="lake: has no file of rows"):
        names(folder, output=output)
    with pytest.raises(ScoringError, match="no file matches this pattern"):
        names(folder / "*.csv", output=output)
    with pytest.raises(ScoringError, match="lies in the folder of the rows"):
        names(folder, output=folder / "out.csv")
    for wrong in ("rows.xlsx", "rows.parquet.gz"):
        (folder / wrong).write_bytes(b"")
        with pytest.raises(ScoringError, match=rf"{wrong}: expected a file ending in .parquet"):
            names(folder / wrong, output=output)


def test_output_is_never_a_file_of_rows_by_whatever_name(tmp_path: Path) -> None:
    rows, hard, soft = tmp_path / "rows.csv", tmp_path / "hard.csv", tmp_path / "soft.csv"
    rows.write_bytes(b"x")
    hard.hardlink_to(rows)
    soft.symlink_to(rows)
    for output in (rows, hard, soft):
        with pytest.raises(ScoringError, match="write it elsewhere"):
            names(rows, output=output)


def test_pipe_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(ScoringError, match="not a file that can be read twice"):
        names(tmp_path / "rows.csv", output=tmp_path / "out.csv")
