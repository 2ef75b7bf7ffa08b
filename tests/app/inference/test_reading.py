"""How many rows a request may have; bodies that must be read whole: the same answers."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest
from starlette.testclient import TestClient

from app.context import CONTEXT, MemoryBudget, MemoryReservation, RequestContext
from app.errors import TooManyBytesHeld
from app.inference.codecs import formats
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.oip_reader import OipReader
from app.inference.codecs.strict_json import MOST_AT_ONCE_BYTES
from app.inference.offload import SMALL_BYTES
from app.inference.reading import read_stream
from app.main import create_app
from app.schema import Float32, ModelSchema
from app.telemetry.stage_timer import Stages
from modelstore import ModelRepository
from tests.app import tables
from tests.app.oip import announced, body_of, sent, tensor, whole
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, IDS, NDJSON, TWO, as_arrow, schema_of
from tests.app.typed import FEATURES, publish_typed
from tests.fakes import publish
from tests.settings import settings_in

LIMIT = 3


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("few")
    publish(ModelRepository(folder / "models"))
    with TestClient(create_app(settings_in(folder, max_rows=LIMIT))) as client:
        yield client


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("typed")
    optional = tuple(feature.model_copy(update={"required": False}) for feature in FEATURES)
    publish_typed(ModelRepository(folder / "models"), features=optional)
    with TestClient(create_app(settings_in(folder))) as client:
        yield client


@pytest.mark.parametrize("pad", [0, SMALL_BYTES], ids=["small", "large"])
@pytest.mark.parametrize("path", ["/predict/means", "/predict/means/versions/1", "/predict"])
def test_one_row_too_many_is_refused_wherever_json_is_read(path: str, pad: int, few: TestClient) -> None:
    named = {"model": "means"} if path == "/predict" else {}
    for rows in (LIMIT, LIMIT + 1):
        body = orjson.dumps({"instances": [[0.25, 0.5]] * rows, **named}) + b" " * pad
        answer = few.post(path, content=body, headers={"content-type": "application/json"})
        if rows == LIMIT:
            assert answer.status_code == 200
        else:
            assert "TABSERVE_MAX_ROWS" in assert_problem(answer, 413)["detail"]


@pytest.mark.parametrize("pad", [0, SMALL_BYTES], ids=["small", "large"])
def test_one_row_too_many_is_refused_as_tensors_of_json(pad: int, few: TestClient) -> None:
    for rows, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        for datatype in ("FP32", "INT32"):  # the one is read in steps if it is large, the other is not
            text = whole([tensor([[0, 1]] * rows, datatype)]) + b" " * pad
            assert few.post("/v2/models/means/infer", **sent(body_of(text))).status_code == status


def test_one_row_too_many_is_refused_as_binary_tensors(few: TestClient) -> None:
    for rows, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        described, part = announced([[0, 1]] * rows)
        answer = few.post("/v2/models/means/infer", **sent(body_of(whole([described]), part)))
        assert answer.status_code == status
        raw = dataclasses.replace(body_of(b""), data=bytearray(part), json_bytes=0)
        assert few.post("/v2/models/means/infer", **sent(raw)).status_code == status


TENSORS = {
    "texts": ("since", "BYTES", b"\x0a\0\0\0" + b"2024-01-31"),
    "whole numbers of categories": ("plan", "INT64", b"\2" + bytes(7)),
}


@pytest.mark.parametrize(("name", "datatype", "value"), TENSORS.values(), ids=TENSORS.keys())
def test_binary_values_that_are_converted_one_by_one_are_read_beside_the_event_loop(
    name: str, datatype: str, value: bytes, typed: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, read = list[str](), OipReader.rows

    def note(reader: OipReader, schema: ModelSchema) -> Float32:
        threads.append(threading.current_thread().name)
        return read(reader, schema)

    monkeypatch.setattr(OipReader, "rows", note)
    for count in (1, 10_000):
        size = {"binary_data_size": count * len(value)}
        described = {"name": name, "shape": [count], "datatype": datatype, "parameters": size}
        answer = typed.post("/v2/models/typed/infer", **sent(body_of(whole([described]), value * count)))
        assert answer.status_code == 200, answer.text

    assert [thread.startswith("offload") for thread in threads] == [False, True]


def test_formats_that_stream_take_any_number(few: TestClient) -> None:
    rows = b"left,right\n" + b"0.25,0.5\n" * (LIMIT + 1)

    assert few.post("/predict/means", content=rows, headers={"content-type": "text/csv"}).status_code == 200


MESSAGE = as_arrow(tables.rows(50_000), TWO, 50_000)
UNFINISHED = {
    ARROW: (MESSAGE[:300_000], MESSAGE[300_000:]),
    CSV: (b"left,right\n0." + b"1" * 300_000, b",0.5\n"),
    NDJSON: (b"[0." + b"1" * 300_000, b",0.5]\n"),
}


@pytest.mark.parametrize("kind", UNFINISHED, ids=IDS.get)
def test_rows_that_are_not_complete_count_for_the_memory_budget_until_they_are(kind: str) -> None:
    budget = MemoryBudget(200_000)

    async def send(held: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
        begin, end = UNFINISHED[kind]
        yield begin
        held.set()
        await go_on.wait()
        yield end

    async def answer(body: AsyncIterator[bytes]) -> int:
        CONTEXT.set(RequestContext(memory=MemoryReservation(budget)))
        reader = formats.readers()[kind](schema_of(TWO), BulkOptions())
        return sum([len(block.x) async for block in read_stream(Stages(lambda: None), reader, body, 512)])

    async def scene() -> None:
        held, go_on = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(answer(send(held, go_on)))
        await held.wait()
        assert budget.reserved_bytes > budget.limit_bytes
        with pytest.raises(TooManyBytesHeld):
            await answer(send(held, go_on))
        go_on.set()
        assert await first == (50_000 if kind == ARROW else 1)
        assert budget.reserved_bytes == 0

    asyncio.run(scene())


@pytest.mark.parametrize("space", [0, MOST_AT_ONCE_BYTES], ids=["in one go", "in steps"])
def test_large_request_is_answered_alike_whichever_reader_reads_it(space: int, steady: TestClient) -> None:
    rows = [[number / 4096, 1 - number / 4096] for number in range(4096)]
    plain = orjson.dumps({"instances": rows})
    unusual = orjson.dumps({"model": "means", "instances": rows}) + b" " * space
    json = {"content-type": "application/json"}

    expected = steady.post("/predict/means", content=plain, headers=json)

    assert expected.status_code == 200
    for path in ("/predict", "/predict/means", "/predict/means/versions/1"):
        assert steady.post(path, content=unusual, headers=json).content == expected.content
