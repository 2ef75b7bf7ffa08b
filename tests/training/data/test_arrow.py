"""Parquet and Arrow files as tables."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from training.data.csv_blocks import CsvFile

TABLE = pa.table({"x": [1.5, None], "k": pa.array(["a, b", None]).dictionary_encode()})


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_table_is_read_with_gaps_as_empty_cells(kind: str) -> None:
    stream = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(TABLE, stream)
    else:
        with pa.ipc.new_file(stream, TABLE.schema) as writer:
            writer.write_table(TABLE)
    stream.seek(0)
    file = CsvFile(stream)

    assert file.read_header() == ("x", "k")
    assert [row for block in file.blocks({0, 1}) for row in block.cells.to_numpy().tolist()] == [
        ["1.5", "a, b"],
        ["", ""],
    ]


def test_damaged_file_is_a_fault() -> None:
    file = CsvFile(io.BytesIO(b"PAR1 and nothing else"))

    assert file.read_header() == ()
    assert "the Parquet file cannot be read" in file.faults.sorted()[0].problem
