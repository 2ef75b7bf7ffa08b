"""Answers of parts are counted, and joined without regard to the parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import Problem
from app.inference.batch_predictions import batch_of
from app.inference.codecs.blocks import RowBlock
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from app.scoring.answers import OUTPUTS, CountingWriter, ErrorColumnWriter
from modelstore import NumericFeature

FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)
SCHEMA = ModelSchema.of_features("sample", 1, [FEATURE], ("a", "b"))


def predictions(rows: int) -> Predictions:
    high = np.linspace(0, 1, rows, dtype=np.float32)
    return Predictions(batch_of(SCHEMA, high[:, None], np.stack([1 - high, high], axis=1)), 0, rows)


def test_a_bad_row_has_nothing_but_its_error_and_is_counted() -> None:
    tally = CountingWriter(ErrorColumnWriter(SCHEMA))
    found, bad = predictions(3), {1: Problem(8, "x", "is wrong")}
    text = tally.numbered_rows(found, RowBlock(found.batch.x, 7, bad)) + tally.rows(found)
    table = pa.ipc.open_stream(tally.head() + text + tally.tail()).read_all()

    assert table["label"].to_pylist() == ["a", None, "b", "a", "a", "b"]
    assert table["error"].to_pylist() == [None, "x: is wrong", None, None, None, None]
    assert (tally.rows_written, tally.bad, tally.problems) == (6, 1, [Problem(8, "x", "is wrong")])


def test_row_groups_do_not_depend_on_the_parts(tmp_path: Path) -> None:
    def joined(*parts: int) -> bytes:
        path = tmp_path / f"{len(parts)}.parquet"
        output = OUTPUTS[".parquet"][1](path)
        for number, rows in enumerate(parts):
            writer = CountingWriter(ErrorColumnWriter(SCHEMA))
            text = writer.rows(predictions(rows))
            (tmp_path / str(number)).write_bytes(writer.head() + text + writer.tail())
            output.add(tmp_path / str(number), writer.head_bytes)
        output.close()
        assert pq.read_metadata(path).num_row_groups == 1
        return path.read_bytes()

    assert len(joined(100)) < 3000
    assert pq.read_table(tmp_path / "1.parquet")["probability_b"].to_pylist()[-1] == 1.0
    joined(60, 40)
    assert pq.read_table(tmp_path / "2.parquet").num_rows == 100


def test_lines_have_one_header(tmp_path: Path) -> None:
    output = OUTPUTS[".csv"][1](tmp_path / "out.csv")
    for number in range(2):
        (tmp_path / str(number)).write_bytes(b"label\n%d\n" % number)
        output.add(tmp_path / str(number), len(b"label\n"))
    output.close()

    assert (tmp_path / "out.csv").read_bytes() == b"label\n0\n1\n"
