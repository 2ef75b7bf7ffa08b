"""All readers of tables agree: line ends and spellings of names do not change the rows."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import hypothesis
import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.inference.codecs import formats
from app.inference.codecs import json as json_codec
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.oip import read_request
from app.inference.codecs.oip_tensors import read_rows
from app.main import create_app
from app.schema import Float32, ModelSchema
from app.settings import Settings
from modelstore import CategoricalFeature, JobResult, ModelRepository, Overrides
from tests.app.oip import body_of, tensor, whole
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, JSON, NDJSON, arrow_stream, outcome, read, schema_of
from tests.fakes import publish
from tests.properties import examples
from tests.training.data.troubles import DIALECTS, HEADERS, Trouble
from tests.training.samples import ignore
from training.artifact.features import describe_features
from training.config.default_recipe import recipe_for_data
from training.config.run import TrainingRun
from training.data.csv_blocks import CsvFile
from training.data.splits import load_splits
from training.data.table import read_table
from training.pipeline import train

NAMES = ("âge", "visits", "größe in cm")
OLD = (" AGE ", unicodedata.normalize("NFD", "größe"), "x", "x ")
CONTRACT = schema_of(NAMES)
BLANKS = ("", " ", "\t", "\u00a0", "  ")

cells = st.floats(0, 1, width=32).map(float)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5)


@st.composite
def spelt(draw: st.DrawFn, names: Sequence[str] = NAMES) -> list[str]:
    """Return names with blanks around them, composed or not."""
    blank, form = st.sampled_from(BLANKS), st.sampled_from(["NFC", "NFD"])
    return [draw(blank) + unicodedata.normalize(draw(form), name) + draw(blank) for name in names]  # type: ignore[arg-type]


@st.composite
def lines(draw: st.DrawFn, listed: Sequence[str]) -> tuple[bytes, int]:
    """Return lines with ends of any kind and blank ones anywhere, and how many these are."""
    ends, blank = st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.sampled_from(["", " ", "\t "]), max_size=2)
    between = [draw(blank) for _ in range(len(listed) + 1)]
    written = [line for blanks, own in zip(between, [*listed, None], strict=True) for line in (*blanks, own)]
    end = draw(ends)  # one kind per file: an adjacent CR and LF would be one line end
    text = "".join(line + end for line in written if line is not None)
    return text.encode(), sum(map(len, between))


def streamed(kind: str, body: bytes, step: int | None) -> object:
    return outcome(formats.readers()[kind](CONTRACT, BulkOptions()), body, step)


def rows_of(x: Float32) -> tuple[list[list[float]], dict[int, str]]:
    return x.tolist(), {}


@examples(50)
@hypothesis.given(tables, st.permutations(range(3)), st.integers(1, 40), st.data())
def test_f5_f10_a_table_is_the_same_rows_in_every_reader(
    table: list[tuple[float, ...]], order: list[int], step: int, data: st.DataObject
) -> None:
    expected = rows_of(np.array(table, dtype=np.float32))
    names = data.draw(spelt([NAMES[at] for at in order]))
    listed = [[row[at] for at in order] for row in table]
    named = [dict(zip(names, row, strict=True)) for row in listed]

    csv, blank = data.draw(lines([",".join(names), *(",".join(map(repr, row)) for row in listed)]))
    ndjson, _ = data.draw(lines([json.dumps(row, ensure_ascii=data.draw(st.booleans())) for row in named]))
    columns = [pa.array(column, pa.float32()) for column in zip(*listed, strict=True)]
    arrow = arrow_stream(pa.Table.from_arrays(columns, names))
    tensors = [tensor([[row[at]] for row in listed], name=name) for at, name in enumerate(names)]

    assert streamed(CSV, csv, None) == streamed(CSV, csv, step) == expected
    assert streamed(NDJSON, ndjson, None) == streamed(NDJSON, ndjson, step) == expected
    assert streamed(ARROW, arrow, None) == expected
    assert (
        rows_of(json_codec.read_rows(json_codec.read_request(orjson.dumps({"instances": named})), CONTRACT)) == expected
    )
    assert rows_of(read_rows(read_request(body_of(whole(tensors))), CONTRACT)) == expected
    kept = CsvFile(io.BytesIO(csv))
    assert kept.read_header() == tuple(NAMES[at] for at in order)
    found = [row for block in kept.blocks(()) for row in block.cells.to_numpy(dtype=np.float32).tolist()]
    assert (found, bool(kept.faults), kept.blank_lines) == (np.array(listed, np.float32).tolist(), False, blank)


RAW = {
    **{name: trouble for name, trouble in DIALECTS.items() if name != "gzip"},
    **{name: HEADERS[name] for name in ("no names", "a comma too many in each line", "quotes behind backslashes")},
    **{name: HEADERS[name] for name in ("an index without a name", "data without a name")},
}


@pytest.mark.parametrize("trouble", RAW.values(), ids=RAW.keys())
def test_lines_of_a_training_file_are_a_request_as_they_lie_on_the_disk(tmp_path: Path, trouble: Trouble) -> None:
    (tmp_path / "mine.csv").write_bytes(trouble.content)
    table = read_table(tmp_path, "mine.csv", trouble.target)
    recipe = recipe_for_data(tmp_path / "mine.csv", trouble.target)
    splits = load_splits(recipe.data, tmp_path, recipe.training)
    features = describe_features(splits.train, {})
    ignored = [*(column.name for column in splits.left_out), trouble.target]
    schema = ModelSchema.of_features("m", 1, features, ("a", "b"), ignored=ignored, dialect=table.dialect)

    x, wrong = tables_of(schema, trouble.content)

    assert wrong == {}
    assert len(x) == len(table.x)
    for at, (column, feature) in enumerate(zip(table.columns, features, strict=True)):
        if isinstance(feature, CategoricalFeature):
            texts, known = np.array(column.texts), np.array(list(feature.categories))
            assert known[x[:, at].astype(int)].tolist() == texts[table.x[:, at].astype(int)].tolist()
        else:
            assert x[:, at].tobytes() == np.ascontiguousarray(table.x[:, at]).tobytes()


def tables_of(schema: ModelSchema, body: bytes) -> tuple[Float32, dict[int, str]]:
    rows, wrong = read(formats.readers()[CSV](schema, BulkOptions()), body, 1000)
    return np.array(rows, dtype=np.float32), wrong


TWICE = ("âge", "visits", unicodedata.normalize("NFD", " âge"), "größe in cm")
BODIES = {
    "csv": (CSV, (",".join(TWICE) + "\n0,0,0,0\n").encode()),
    "json": (JSON, orjson.dumps({"instances": [dict.fromkeys(TWICE, 0)]})),
    "ndjson": (NDJSON, orjson.dumps(dict.fromkeys(TWICE, 0))),
    "arrow": (ARROW, arrow_stream(pa.table({name: [0.0] for name in TWICE}))),
    "tensors": ("", whole([tensor([0], name=name) for name in TWICE])),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of a service with one version whose names are as they should be, and one of old that is not."""
    folder = tmp_path_factory.mktemp("readers")
    repository = ModelRepository(folder / "models")
    publish(repository, "new", features=NAMES)
    publish(repository, "old", features=OLD)
    with TestClient(create_app(settings_in(folder))) as client:
        yield client


def settings_in(folder: Path) -> Settings:
    return Settings(
        models_dir=folder / "models", state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu"
    )


def post(client: TestClient, kind: str, body: bytes, model: str) -> httpx2.Response:
    if not kind:
        return client.post(f"/v2/models/{model}/infer", content=body)
    return client.post(f"/predict/{model}", content=body, headers={"content-type": kind})


@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES.keys())
def test_f5_two_names_that_are_one_are_refused_with_both_positions(client: TestClient, kind: str, body: bytes) -> None:
    answer = post(client, kind, body, "new")

    told = answer.json()["error"] if not kind else json.dumps(assert_problem(answer, 422), ensure_ascii=False)
    assert answer.status_code == (422 if kind else 400)
    assert "1 and 3" in told
    assert "blanks around a name" in told


@pytest.mark.parametrize(
    "names",
    [OLD, ("AGE", "größe", "x", "x "), (" AGE", unicodedata.normalize("NFD", "\tgröße"), "x", "x ")],
    ids=["as they are", "as they would be now", "neither"],
)
def test_f5_versions_of_old_keep_their_names_and_take_them_as_they_would_be_now(
    client: TestClient, names: tuple[str, ...]
) -> None:
    values = [0.125, 0.25, 0.5, 1.0]
    row = dict(zip(names, values, strict=True))
    bodies = {
        CSV: (",".join(names) + "\n" + ",".join(map(str, values))).encode(),
        JSON: orjson.dumps({"instances": [row]}),
        NDJSON: orjson.dumps(row),
        ARROW: arrow_stream(pa.table({name: [value] for name, value in row.items()})),
        "": whole([tensor([value], name=name) for name, value in row.items()]),
    }
    expected = post(client, JSON, orjson.dumps({"instances": [values]}), "old").json()["predictions"]

    for kind, body in bodies.items():
        answer = post(client, kind, body, "old")
        assert answer.status_code == 200, (kind, answer.text)
        if kind == JSON:
            assert answer.json()["predictions"] == expected


@pytest.mark.slow
def test_f5_what_trains_is_answered_and_what_collides_is_refused_at_the_upload(tmp_path: Path) -> None:
    header = unicodedata.normalize("NFD", "âge, visits ,größe,churned ")
    rows = "".join(f"{row},{row % 7},{row % 3},{'no' if row < 30 else 'yes'}\n" for row in range(60))
    path = tmp_path / "names.csv"
    path.write_text(f"{header}\n{rows}")
    csv = {"content-type": CSV}
    models = ModelRepository(tmp_path / "models")
    columns = (" visits", "a\u0302ge")
    recipe = recipe_for_data(path, " churned", features=columns, overrides=Overrides(learner="linear"))
    result = train(TrainingRun(recipe, tmp_path, models, policy="always"), ignore)

    with TestClient(create_app(settings_in(tmp_path))) as client:
        answered = client.post("/predict/names", content="a\u0302ge , visits\n1,2\n".encode(), headers=csv)
        kept = client.put("/datasets/names", content=path.read_bytes(), headers=csv)
        wanted = {"model": "again", "dataset": "names", "target": " churned", "features": [" visits", "a\u0302ge"]}
        job = client.post("/train", json=wanted)
        client.delete(job.headers["location"])
        refused = client.put("/datasets/twice", content=b"AGE,b,AGE \n1,2,3\n", headers=csv)

    assert isinstance(result, JobResult)
    assert result.activated, result.detail
    assert answered.status_code == 200
    assert [column["name"] for column in kept.json()["columns"]] == ["âge", "visits", "größe", "churned"]
    assert (job.status_code, job.json()["features"]) == (202, ["visits", "\u00e2ge"])
    (fault,) = assert_problem(refused, 422)["errors"]
    assert (fault["row"], fault["feature"]) == (1, "AGE")
    assert "in columns 1 and 3" in fault["problem"]
