"""How fast `tabserve score` is: processes of one host, and nodes of a Ray cluster.

Entry point: `python -m benchmarks.scoring`. A network of nine columns (the built-in recipe `cancer`) scores a Parquet
file to a Parquet file. Nodes of the cluster are processes of this host that offer one core each, so what they show is
what Ray costs, and that a second node helps; not what a network between hosts costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.progress import Progress
from benchmarks.store import PROJECT, fit
from modelstore import ModelRepository
from tabserve.late import has

MODEL, SEED, GROUP_ROWS = "cancer", 0, 1_000_000
RUNS = 3


class Figures(NamedTuple):
    """One run.

    Attributes:
        rows_per_s: rows by the time of the whole command, starts of processes included.
        rows_per_cpu_s: rows by the processor time of the command; None where other processes do the work.
        peak_mb: memory of the largest process in MB; likewise.
    """

    rows_per_s: float
    rows_per_cpu_s: float | None
    peak_mb: float | None


class Nodes:
    """A cluster of Ray whose nodes are processes of this host."""

    def __init__(self, count: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

        node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=node)
        for _ in range(count - 1):
            self._cluster.add_node(**node)
        self._cluster.wait_for_nodes()
        self.address = str(self._cluster.address)

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


def main() -> None:
    """Measure each way in turns and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=8 * GROUP_ROWS, help="rows of the file")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place, Progress() as progress:
        folder = Path(place)
        progress.say("making the version and the file")
        fit(folder / "models", MODEL, "--seed", "1")
        write_rows(folder, rows)
        found: dict[str, list[Figures]] = {name: [] for name in WAYS if has("ray") or "Ray" not in name}
        for run in range(RUNS):
            for name, figures in found.items():
                progress.say(f"run {run + 1} of {RUNS}: {name}")
                figures.append(WAYS[name](folder, rows))
    sys.stdout.write("| way | rows/s | rows/s of CPU time | largest process, MB |\n|---|---|---|---|\n")
    for name, figures in found.items():
        cells = [_middle(column) for column in zip(*figures, strict=True)]
        sys.stdout.write(f"| {' | '.join([name, *cells])} |\n")


def write_rows(folder: Path, rows: int) -> None:
    """Write a file of rows within the ranges of the training, in row groups of a million."""
    features = ModelRepository(folder / "models").find(MODEL, 1).manifest().features
    drawn = np.random.default_rng(SEED)
    schema = pa.schema([(feature.name, pa.float32()) for feature in features])
    with pq.ParquetWriter(folder / "rows.parquet", schema, compression="zstd", use_dictionary=False) as writer:
        for first in range(0, rows, GROUP_ROWS):
            count = min(GROUP_ROWS, rows - first)
            columns = [drawn.integers(1, 11, count).astype(np.float32) for _ in features]
            writer.write_table(pa.table(columns, schema=schema))


def by_processes(count: int) -> Callable[[Path, int], Figures]:
    """Return a measurement of processes on this host."""

    def measure(folder: Path, rows: int) -> Figures:
        took_s, used = _score(folder, ["--workers", str(count)])
        return Figures(rows / took_s, rows / used.cpu_s, used.peak_mb)

    return measure


def by_nodes(count: int) -> Callable[[Path, int], Figures]:
    """Return a measurement of a cluster of so many nodes, which runs already, with an actor each."""

    def measure(folder: Path, rows: int) -> Figures:
        with closing(Nodes(count)) as nodes:
            took_s, _ = _score(folder, ["--ray", nodes.address, "--workers", str(count)])
        return Figures(rows / took_s, None, None)

    return measure


WAYS = {
    "1 process": by_processes(1),
    "2 processes": by_processes(2),
    "Ray, 1 node": by_nodes(1),
    "Ray, 2 nodes": by_nodes(2),
}

# Started by a small process, because a process begins with the peak of the one that started it.
COUNTED = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(code)
"""


class Used(NamedTuple):
    """What a command and the processes that it started used."""

    cpu_s: float
    peak_mb: float


def _score(folder: Path, options: Sequence[str]) -> tuple[float, Used]:
    """Return the time that `tabserve score` takes, and what it uses."""
    output = folder / "scored.parquet"
    for path in folder.glob("scored.parquet*"):
        path.unlink()  # a run that is finished would not begin again
    asked = ["--model", MODEL, "--models-dir", str(folder / "models"), "--in", str(folder / "rows.parquet")]
    command = [sys.executable, "-m", "tabserve", "score", *asked, "--out", str(output), *options]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", COUNTED, *command], cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    return time.monotonic() - began, Used(*json.loads(done.stdout))


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    middle, least, most = (f"{value:,.0f}" for value in (statistics.median(known), min(known), max(known)))
    return f"{middle} ({least} to {most})"


if __name__ == "__main__":
    main()
