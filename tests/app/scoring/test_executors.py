"""Several processes give the bytes of one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from app.scoring import run
from app.scoring.errors import ScoringError
from modelstore import ModelRepository
from tests.app.scoring.samples import score, wanted, write_rows
from tests.fakes import publish


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one_and_errors_come_back(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    inputs = [write_rows(tmp_path / name) for name in ("rows.parquet", "rows.csv.gz")]
    score(repository, inputs, tmp_path / "one.parquet")
    two = dataclasses.replace(wanted(repository, inputs, tmp_path / "two.parquet"), workers=2)

    assert run.score(two, lambda progress: None)["rows"] == 800
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()
    inputs[1] = tmp_path / "bad.ndjson"
    inputs[1].write_bytes(b'{"left":1,"right":"oops"}\n')
    bad = dataclasses.replace(two, inputs=tuple(map(str, inputs)), overwrite=True)
    with pytest.raises(ScoringError, match=r"bad.ndjson: line 1, column 'right'"):
        run.score(bad, lambda progress: None)
