"""Arrow answers: what pyarrow reads and would write, byte for byte; nulls for skipped rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from app.errors import MalformedBody, Problem
from app.inference.additions.added import AddedOutput
from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.arrow_answers import MAX_INT8_CLASSES, ArrowWriter
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import Decision
from tests.app.tables import schema_of

CONTRACT = schema_of(("left", "right"))


def test_answer_has_a_column_for_each_figure_and_nulls_for_a_skipped_row() -> None:
    batch = BatchClassification(CONTRACT, np.zeros((2, 2), np.float32), np.array([[0.25, 0.75], [1, 0]], np.float32))
    writer = ArrowWriter(CONTRACT)

    stream = writer.head() + writer.rows(Predictions(batch, 0, 2))
    stream += writer.numbered_row(2, None, Problem(2, "left", "is wrong")) + writer.numbered_row(
        3, Predictions(batch, 1, 2), None
    )
    table = pa.ipc.open_stream(stream + writer.tail()).read_all()

    table.validate(full=True)
    assert table.schema.types == [pa.dictionary(pa.int8(), pa.string()), pa.float32(), pa.float32(), pa.float32()]
    assert table.to_pydict() == {
        "label": ["high", "low", None, "low"],
        "probability": [0.75, 1, None, 1],
        "probability_low": [0.25, 1, None, 1],
        "probability_high": [0.75, 0, None, 0],
    }


def test_policy_is_metadata_decision_unless_a_column_has_that_name() -> None:
    decided = ModelSchema.of_features(
        "means", 1, CONTRACT.types, CONTRACT.classes, decision=Decision(threshold=0.3), takes_missing=False
    )
    added = (AddedOutput("decision", ("decision",), is_text=True, facts=(("policy", "threshold 0.3"),)),)

    for outputs, name in (((), b"decision"), (added, b"policy")):
        writer = ArrowWriter(decided, outputs)
        assert pa.ipc.open_stream(writer.head() + writer.tail()).schema.metadata == {name: b"threshold 0.3"}


def test_answer_without_rows_is_a_whole_stream() -> None:
    writer = ArrowWriter(CONTRACT)

    assert pa.ipc.open_stream(writer.head() + writer.tail()).read_all().num_rows == 0
    assert writer.failure(MalformedBody("whatever")) == b""


@pytest.mark.parametrize("classes", [2, 3, 9, MAX_INT8_CLASSES, MAX_INT8_CLASSES + 1])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 1023, 1025, 5000])
def test_rows_are_the_message_that_pyarrow_makes_of_them(count: int, classes: int) -> None:
    model_schema = schema_of(("left", "right"), [f"class {k}" for k in range(classes)])
    probabilities = np.random.default_rng(count).dirichlet(np.ones(classes), count + 2).astype(np.float32)
    batch = BatchClassification(model_schema, np.zeros((count + 2, 2), np.float32), probabilities)
    writer = ArrowWriter(model_schema)
    asked = probabilities[1:-1]
    schema = pa.ipc.open_stream(writer.head() + writer.tail()).schema
    indices = pa.array(asked.argmax(axis=1)).cast(schema.field("label").type.index_type)
    columns = [np.ascontiguousarray(column) for column in (asked.max(axis=1), *asked.T)]
    labels = pa.DictionaryArray.from_arrays(indices, pa.array(model_schema.classes))
    expected = pa.RecordBatch.from_arrays([labels, *map(pa.array, columns)], schema=schema)

    assert writer.rows(Predictions(batch, 1, count + 1)) == expected.serialize().to_pybytes()
