"""Files are cut into parts that hold every row once, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.schema import ModelSchema
from app.scoring.errors import ScoringError
from app.scoring.parts import cut_all
from app.scoring.sources import find_sources
from modelstore import Dialect, NumericFeature
from tests.app.scoring.samples import write_rows

FEATURES = [NumericFeature(name=n, mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9) for n in ("left", "right")]
SCHEMA = ModelSchema.of_features("means", 1, FEATURES, ("low", "high"))


def firsts(path: Path, part_bytes: int) -> list[int]:
    parts = list(cut_all(find_sources([str(path)], path.with_name("out.csv")), SCHEMA, part_bytes, ignore_extra=False))
    assert [part.number for part in parts] == list(range(len(parts)))
    return [part.first for part in parts]


def test_row_groups_and_record_batches_stay_whole_and_small_ones_go_together(tmp_path: Path) -> None:
    parquet = write_rows(tmp_path / "rows.parquet", rows=1000, group=100)
    arrow = write_rows(tmp_path / "rows.arrow", rows=1000, group=100)

    assert firsts(parquet, 1) == firsts(arrow, 1) == list(range(0, 1000, 100))
    assert firsts(parquet, 1 << 20) == firsts(arrow, 1 << 20) == [0]
    assert 1 < len(firsts(parquet, 3000)) < 10
    assert all(first % 100 == 0 for first in firsts(parquet, 3000))


def test_several_files_are_numbered_through(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", rows=200, group=100)
    write_rows(tmp_path / "b.csv.gz", rows=100)
    found = find_sources([str(tmp_path / "*")], tmp_path / "out.csv")
    parts = list(cut_all(found, SCHEMA, 1000, ignore_extra=False))

    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.first for part in parts[:3]] == [0, 100, 2]
    assert parts[2].content is not None
    assert sum(part.size_bytes for part in parts[2:]) <= (tmp_path / "b.csv.gz").stat().st_size


def test_a_file_that_may_not_be_cut_is_one_part(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.csv")
    odd = ModelSchema.of_features("means", 1, FEATURES, ("low", "high"), dialect=Dialect(header=False))
    (part,) = cut_all(find_sources([str(path)], tmp_path / "out.csv"), odd, 10, ignore_extra=False)

    assert (part.ranges, part.head) == ((), b"")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv.gz"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"left,right\n1,2\n")

    with pytest.raises(ScoringError, match=f"{name}: "):
        firsts(tmp_path / name, 100)


def test_compressed_text_that_is_damaged_within_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.csv.gz", rows=1000)
    text = bytearray(path.read_bytes())
    text[300:320] = bytes(each ^ 255 for each in text[300:320])
    path.write_bytes(text)

    with pytest.raises(ScoringError, match=r"rows.csv.gz: cannot be read as text/csv"):
        firsts(path, 100)
