"""kill -9 while files are scored, and files larger than the memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelstore import ModelRepository
from tests.app.scoring.samples import write_rows
from tests.fakes import publish
from tests.processes import PROJECT

POINTS = 20
MOST_RSS_BYTES = 700 * 10**6
GROUP_ROWS = 1_000_000


@pytest.mark.slow
def test_killed_anywhere_and_begun_again_the_output_is_the_same(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    write_rows(tmp_path / "rows.csv", rows=200)
    command = [sys.executable, "-m", "tests.app.scoring.crashes", str(tmp_path), str(POINTS)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]

    ends = [(each["signal"], each["again"], each["same"], each["left"]) for each in found]
    assert ends == [(9, 0, True, [])] * POINTS
    assert [set(each["kept"]) & set(each["written"]) for each in found] == [set()] * POINTS
    assert len({len(each["kept"]) for each in found}) > POINTS // 5  # the points are spread over the run


# Started by a small process, because a process begins with the peak of the one that started it.
PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def write_large(path: Path, groups: int, *, at_once: bool) -> None:
    """Write the same million rows as often, in row groups of a million, or in a single one."""
    drawn = np.random.default_rng(0)
    million = pa.table({name: drawn.random(GROUP_ROWS, dtype=np.float32) for name in "abcdefghi"})
    with pq.ParquetWriter(path, million.schema, compression="zstd", use_dictionary=False) as writer:
        for table in [pa.concat_tables([million] * groups)] if at_once else [million] * groups:
            writer.write_table(table, row_group_size=len(table))


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "at_once"), [(22, False), (8, True)])
def test_memory_stays_below_700_mb_however_large_file_and_row_group_are(
    repository: ModelRepository, tmp_path: Path, groups: int, at_once: bool
) -> None:
    publish(repository, features=tuple("abcdefghi"))
    path, output = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    write_large(path, groups, at_once=at_once)
    assert at_once or path.stat().st_size > MOST_RSS_BYTES
    said = ["--models-dir", str(repository.root), "--in", str(path), "--out", str(output), "--workers", "1"]
    command = [sys.executable, "-c", PEAK, sys.executable, "-m", "tabserve", "score", *said]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True
    )

    assert pq.read_metadata(output).num_rows == groups * GROUP_ROWS
    assert int(done.stdout) * 1024 <= MOST_RSS_BYTES
