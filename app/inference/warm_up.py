"""Answer typical requests to a version before it serves; it must not know HTTP."""

from __future__ import annotations

import contextlib

import numpy as np

from app.errors import InvalidInput
from app.inference.batch_predictions import batch_of
from app.inference.codecs import json as json_codec
from app.inference.codecs.converters import example_row
from app.inference.codecs.json_answers import write_answer
from app.inference.codecs.oip_reader import OipReader, example_body
from app.inference.predictions import Predictions
from app.runtime.load import LoadedModel

WARM_UPS = 5


def warm_up(model: LoadedModel) -> None:
    """Answer typical requests and drop the answers, so that no client pays for first-call costs."""
    schema = model.schema
    row = example_row(schema, np.array(model.manifest.golden.features[0], dtype=np.float32))
    body = json_codec.example_body([row])
    for _ in range(WARM_UPS):
        x = json_codec.read_rows(json_codec.read_request(body), schema)
        predictions = Predictions(batch_of(schema, x, model.infer(x)), 0, len(x))
        with contextlib.suppress(InvalidInput):  # a strict version refuses a row without values
            write_answer(predictions)
        for binary in (False, True):
            reader = OipReader(example_body(schema, row, binary=binary), arrived_ns=0)
            reader.parse(1)
            reader.rows(schema)
            writer = reader.writer(schema)
            writer.rows(predictions)
            writer.tail()
