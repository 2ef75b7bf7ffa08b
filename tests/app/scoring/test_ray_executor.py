"""A cluster of Ray gives the bytes of one process, also if a node is killed."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.scoring import run
from app.scoring.errors import ScoringError
from modelstore import ModelRepository
from tabserve.late import has
from tests.app.scoring.samples import score, wanted, write_rows
from tests.fakes import publish
from tests.processes import PROJECT

needs_ray = pytest.mark.skipif(not has("ray"), reason="the extra `ray` is not installed")


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_loses_a_node_gives_the_bytes_of_one_process(
    repository: ModelRepository, tmp_path: Path
) -> None:
    publish(repository)
    rows = write_rows(tmp_path / "rows.parquet", rows=1200)
    score(repository, rows, tmp_path / "one.parquet")
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.scoring.clusters", str(tmp_path)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    assert (found["killed"], found["record"]["rows"]) == (1, 1200)
    assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


@needs_ray
def test_compressed_text_is_not_sent_to_other_hosts(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    asked = wanted(repository, write_rows(tmp_path / "rows.csv.gz"), tmp_path / "out.csv")

    with pytest.raises(ScoringError, match=r"rows.csv.gz: compressed text is not sent to other hosts"):
        run.score(dataclasses.replace(asked, ray="local"), lambda progress: None)
