"""Files of rows, and runs that score them with `means`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.scoring import run
from modelstore import ModelRepository

Show = run.Show


def table_of(rows: int) -> pa.Table:
    """Return rows of `means`, all different."""
    left = np.linspace(0, 1, rows, dtype=np.float32)
    return pa.table({"right": left[::-1].copy() / 2, "left": left})


def write_rows(path: Path, rows: int = 400, group: int = 40) -> Path:
    """Write rows in the format that the suffix says, in row groups or record batches."""
    table = table_of(rows)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    elif path.suffix in (".arrow", ".arrows"):
        options = pa.ipc.IpcWriteOptions(compression="zstd" if path.stem == "compressed" else None)
        make = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with make(str(path), table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=group)
    else:
        path.write_bytes(text_of(table, path.name))
    return path


def text_of(table: pa.Table, name: str) -> bytes:
    """Return rows as the text that belongs to a name."""
    rows = table.to_pylist()
    if ".csv" in name:
        text = "right,left\n" + "".join(f"{row['right']!r},{row['left']!r}\n" for row in rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    return gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()


def wanted(
    repository: ModelRepository, inputs: Path | Sequence[Path], output: Path, **changes: Any
) -> run.ScoringRequest:
    """Return a run of many small parts; `skip` and the options of `bulk_options` may be among the changes."""
    named = [inputs] if isinstance(inputs, Path) else inputs
    names = {"explain", "confidence", "threshold", "strict"} & changes.keys()
    asked: dict[str, Any] = {name: changes.pop(name) for name in names}
    options = run.bulk_options(asked, skip=changes.pop("skip", False), ignore_extra=changes.pop("ignore_extra", False))
    settings = {"part_bytes": 1000} | changes
    version = repository.root / "means" / "1"
    return run.ScoringRequest(version, None, tuple(map(str, named)), output, options, **settings)


def score(repository: ModelRepository, inputs: Path | Sequence[Path], output: Path, **changes: Any) -> dict[str, Any]:
    """Score rows in this process, and return the record."""
    return run.score(wanted(repository, inputs, output, **changes), lambda progress: None)
