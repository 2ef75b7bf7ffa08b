"""Tables of rows as bodies of every format, and answers of every format as probabilities."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence

import httpx2
import numpy as np
import orjson
import pyarrow as pa
from starlette.testclient import TestClient

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs import arrow, float32, ndjson
from app.inference.codecs import csv as csv_codec
from app.inference.codecs import json as json_codec
from app.inference.codecs.blocks import BlockReader, RowBlock
from app.schema import Float32, ModelSchema
from modelstore import NumericFeature

TWO = ("left", "right")
"""Features of the model `means`."""

JSON, CSV, NDJSON = json_codec.CONTENT_TYPE, csv_codec.CONTENT_TYPE, ndjson.CONTENT_TYPE
ARROW, FLOAT32 = arrow.CONTENT_TYPE, float32.CONTENT_TYPE
STREAMED = (CSV, NDJSON, ARROW, FLOAT32)
IDS = {JSON: "json", CSV: "csv", NDJSON: "ndjson", ARROW: "arrow", FLOAT32: "float32"}


def schema_of(features: Sequence[str], classes: Sequence[str] = ("low", "high")) -> ModelSchema:
    """Return a schema of features that range from 0 to 1."""
    types = [NumericFeature(name=name, mean=0.5, std=0.3, min=0, max=1, quantiles=(0.5,) * 9) for name in features]
    return ModelSchema.of_features("means", 3, types, classes, takes_missing=False)


def rows(count: int, features: int = 2) -> Float32:
    """Return rows whose means are between 0 and 1 and have digits to lose, float32, shape (N, F)."""
    return np.random.default_rng(count).random((count, features), dtype=np.float32)


def as_json(x: Float32, _features: Sequence[str]) -> bytes:
    return orjson.dumps({"instances": x.tolist()})


def as_csv(x: Float32, features: Sequence[str]) -> bytes:
    lines = [",".join(map(repr, row)) for row in x.tolist()]
    return "\n".join([",".join(features), *lines, ""]).encode()


def as_ndjson(x: Float32, features: Sequence[str]) -> bytes:
    """Every other row by name, so that both kinds are there."""
    listed = [dict(zip(features, row, strict=True)) if at % 2 else row for at, row in enumerate(x.tolist())]
    return b"".join(orjson.dumps(row) + b"\n" for row in listed)


def as_arrow(x: Float32, features: Sequence[str], rows_per_batch: int = 700) -> bytes:
    return arrow_stream(pa.table(dict(zip(features, map(pa.array, x.T.copy()), strict=True))), rows_per_batch)


def arrow_stream(table: pa.Table, rows_per_batch: int | None = None) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, rows_per_batch)
    return sink.getvalue()


def as_float32(x: Float32, _features: Sequence[str]) -> bytes:
    return x.astype("<f4").tobytes()


BODIES: dict[str, Callable[[Float32, Sequence[str]], bytes]] = {
    JSON: as_json,
    CSV: as_csv,
    NDJSON: as_ndjson,
    ARROW: as_arrow,
    FLOAT32: as_float32,
}


def probabilities(kind: str, body: bytes, classes: Sequence[str] = ("low", "high")) -> Float32:
    """Return the probabilities of an answer, shape (N, K), after a look at labels and winning probability."""
    if kind == FLOAT32:
        return np.frombuffer(body, dtype="<f4").reshape(-1, len(classes))
    labels, best, matrix = _columns(kind, body, classes)
    found = np.array(matrix, dtype=np.float32).reshape(-1, len(classes))
    assert labels == [classes[column] for column in found.argmax(axis=1)]
    assert np.array_equal(np.array(best, dtype=np.float32), found.max(axis=1))
    return found


Columns = tuple[list[str], list[float], list[list[float]]]


def _columns(kind: str, body: bytes, classes: Sequence[str]) -> Columns:
    if kind == CSV:
        records = list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))
        matrix = [[float(record[f"probability_{name}"]) for name in classes] for record in records]
        return [r["label"] for r in records], [float(r["probability"]) for r in records], matrix
    if kind == ARROW:
        table = pa.ipc.open_stream(body).read_all()
        assert table.column_names == ["label", "probability", *(f"probability_{name}" for name in classes)]
        matrix = [list(row) for row in zip(*(column.to_pylist() for column in table.columns[2:]), strict=True)]
        return table["label"].to_pylist(), table["probability"].to_pylist(), matrix
    answers = [json.loads(line) for line in body.splitlines()] if kind == NDJSON else json.loads(body)["predictions"]
    matrix = [[answer["probabilities"][name] for name in classes] for answer in answers]
    return [answer["label"] for answer in answers], [answer["probability"] for answer in answers], matrix


Step = int | Sequence[int] | None


def pieces(data: bytes, step: Step) -> Iterator[bytes]:
    """Yield a body in pieces of so many bytes, or cut at such places, or as it is."""
    places = range(0, len(data), step or max(1, len(data))) if not isinstance(step, Sequence) else [0, *sorted(step)]
    for start, stop in itertools.pairwise((*places, len(data))):
        yield data[start:stop]


def read(reader: BlockReader, data: bytes, step: Step = None) -> tuple[list[list[float]], dict[int, str]]:
    """Feed a body to a reader, in pieces, and return its rows, and what is wrong by line or row."""
    blocks: list[RowBlock] = []
    for piece in pieces(data, step):
        blocks += reader.feed(piece)
    blocks += reader.finish()
    wrong = {problem.row: problem.problem for block in blocks for problem in block.bad.values()}
    numbers = [b.number(place) for b in blocks for place in range(len(b.x))]
    assert numbers == sorted(set(numbers))
    assert all(b.x.dtype == np.float32 and np.isfinite(b.x).all() and len(b.x) for b in blocks)
    assert all(problem.row == b.number(place) for b in blocks for place, problem in b.bad.items())
    return [row for block in blocks for row in block.x.tolist()], {k: v for k, v in wrong.items() if k is not None}


def outcome(reader: BlockReader, data: bytes, step: Step = None) -> object:
    """Return what `read` gives, or the kind of refusal."""
    try:
        return read(reader, data, step)
    except (InvalidInput, MalformedBody) as error:
        return type(error)


def post(
    client: TestClient, body: bytes, given: str = CSV, wanted: str = "", path: str = "/predict/means"
) -> httpx2.Response:
    return client.post(path, content=body, headers={"content-type": given, **({"accept": wanted} if wanted else {})})


def post_streamed(client: TestClient, body: bytes, given: str, wanted: str = "") -> httpx2.Response:
    """Send a body whose length nobody knows, which is answered while it arrives."""
    headers = {"content-type": given, **({"accept": wanted} if wanted else {})}
    return client.post("/predict/means", content=iter((body,)), headers=headers)
