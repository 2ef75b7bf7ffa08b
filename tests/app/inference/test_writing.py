"""Bad rows through the real app; answers that break off, over a real socket."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.api.routes.predict import MAX_WHOLE_BYTES
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask
from tests.app.broken import publish_as_means
from tests.app.overflow import Overflows
from tests.app.problems import assert_problem
from tests.app.sockets import Connection, chunked, connected
from tests.app.tables import (
    ARROW,
    BODIES,
    CSV,
    FLOAT32,
    IDS,
    JSON,
    NDJSON,
    STREAMED,
    TWO,
    arrow_stream,
    as_arrow,
    as_csv,
    as_float32,
    as_ndjson,
    post,
    post_streamed,
    probabilities,
    rows,
)
from tests.app.telemetry.figures import in_progress, scraped
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import service
from tests.settings import settings_in

LATE = 20_000  # rows: the answer has begun long before the last of them
LARGE = 140_000  # rows: more than a mebibyte in every format


BAD_CSV = {
    "text": (b"0.5,x", "right"),
    "underscore": (b"1_0,0.5", "left"),
    "blank text": (b"' ',0.5", "left"),
    "infinity": (b"0.5,inf", "right"),
    "inf": (b"inf,0.5", "left"),
    "beyond float32": (b"0.5,1e39", "right"),
    "too few columns": (b"0.5", None),
    "too many columns": (b"0.5,0.5,0.5", None),
}


@pytest.mark.parametrize(("line", "feature"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_bad_row_before_the_first_byte_of_the_answer_is_422_with_line_and_column(
    steady: TestClient, line: bytes, feature: str | None
) -> None:
    document = assert_problem(post(steady, b"left,right\n0.5,0.5\n" + line + b"\n0.5,0.5\n"), 422)

    assert (document["errors"][0]["row"], document["errors"][0]["feature"]) == (3, feature)
    column = f", column '{feature}'" if feature else ""
    assert document["detail"].startswith(f"line 3{column}: ")
    assert "means expects 2 features per row; see GET /models/means" in document["detail"]


def test_many_bad_rows_are_cut_to_ten(steady: TestClient) -> None:
    assert len(assert_problem(post(steady, b"left,right\n" + b"x,y\n" * 50), 422)["errors"]) == 10


BAD_BODIES = {
    "a line of 2 MB": (CSV, b"left,right\n" + b"1" * (2 << 20) + b",1\n", 400),
    "a header of 2 MB": (CSV, b"left," * (2 << 18), 400),
    "csv is binary": (CSV, bytes(range(256)) * 8, 422),
    "ndjson, a line of 2 MB": (NDJSON, b"[" + b" " * (2 << 20) + b"1,1]\n", 400),
    "ndjson, a row of three": (NDJSON, b"[1,1,1]\n", 422),
    "arrow is garbage": (ARROW, b"\x93NUMPY" + bytes(100), 400),
    "arrow is cut": (ARROW, as_arrow(rows(3), TWO)[:-100], 400),
    "arrow has a null": (ARROW, arrow_stream(pa.table({"left": [0.5, None], "right": [0.5, 0.5]})), 422),
    "arrow has a NaN": (ARROW, arrow_stream(pa.table({"left": [0.5, float("nan")], "right": [0.5, 0.5]})), 422),
    "float32 ends within its first row": (FLOAT32, bytes(4), 400),
    "float32 has a NaN": (FLOAT32, as_float32(np.full((1, 2), np.nan, np.float32), TWO), 422),
}


@pytest.mark.parametrize(("kind", "body", "status"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_body_is_a_clear_4xx(steady: TestClient, kind: str, body: bytes, status: int) -> None:
    assert_problem(post(steady, body, kind), status)


MIXED = {
    CSV: b"left,right\n0.25,0.25\n0.5,x\n0.75,0.75\n",
    NDJSON: b'[0.25,0.25]\n[0.5,"x"]\n[0.75,0.75]\n',
    ARROW: arrow_stream(pa.table({"left": [0.25, 0.5, 0.75], "right": [0.25, float("inf"), 0.75]})),
    FLOAT32: as_float32(np.array([[0.25, 0.25], [0.5, np.inf], [0.75, 0.75]], np.float32), TWO),
}
FIRST_NUMBER = {CSV: 2, NDJSON: 1, ARROW: 0, FLOAT32: 0}


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_json(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, JSON, "/predict/means?on_error=skip")

    first = FIRST_NUMBER[given]
    good, bad, last = answer.json()["predictions"]
    assert [row["line"] for row in (good, bad, last)] == [first, first + 1, first + 2]
    assert (good["probabilities"]["high"], last["probabilities"]["high"]) == (0.25, 0.75)
    assert bad["error"]["feature"] == "right"
    assert set(bad) == {"line", "error"}


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_ndjson(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, NDJSON, "/predict/means?on_error=skip")

    good, bad, last = map(json.loads, answer.content.splitlines())
    assert [row["line"] - FIRST_NUMBER[given] for row in (good, bad, last)] == [0, 1, 2]
    assert (good["probabilities"]["high"], last["probabilities"]["high"]) == (0.25, 0.75)
    assert bad["error"]["feature"] == "right"


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_csv(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, CSV, "/predict/means?on_error=skip")

    good, bad, last = csv.DictReader(io.StringIO(answer.text))
    assert [int(row["line"]) - FIRST_NUMBER[given] for row in (good, bad, last)] == [0, 1, 2]
    assert (good["probability_high"], good["error"]) == ("0.25", "")
    assert (last["probability_high"], last["error"]) == ("0.75", "")
    assert (bad["label"], bad["probability_high"]) == ("", "")
    assert bad["error"].startswith("right: must be a ")


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_arrow_and_float32(steady: TestClient, given: str) -> None:
    in_arrow, bare = (
        post(steady, MIXED[given], given, wanted, "/predict/means?on_error=skip").content for wanted in (ARROW, FLOAT32)
    )

    assert pa.ipc.open_stream(in_arrow).read_all()["probability_high"].to_pylist() == [0.25, None, 0.75]
    assert np.array_equal(probabilities(FLOAT32, bare)[:, 1], [0.25, np.nan, 0.75], equal_nan=True)


def test_skip_without_bad_rows_answers_as_fail_does_but_for_the_numbers(steady: TestClient) -> None:
    body = as_ndjson(rows(50), TWO)

    numbered = post(steady, body, NDJSON, path="/predict/means?on_error=skip").content

    assert re.sub(rb'"line":\d+,', b"", numbered) == post(steady, body, NDJSON).content


def test_warnings_name_the_place_of_a_row_after_skipped_ones(steady: TestClient) -> None:
    body = b"left,right\nx,0\n7,0\ny,0\n0,8\n"

    answer = post(steady, body, CSV, JSON, "/predict/means?on_error=skip").json()

    assert [(w["row"], w["feature"], w["value"]) for w in answer["warnings"]] == [(1, "left", 7), (3, "right", 8)]
    assert [row["line"] for row in answer["predictions"]] == [2, 3, 4, 5]


def test_rows_that_cannot_be_read_are_no_predictions(client: TestClient) -> None:
    def predicted() -> float:
        return sum(value for (name, _), value in scraped(client).items() if name == "tabserve_predictions_total")

    for kind, body in MIXED.items():
        before = predicted()
        assert_problem(post(client, body, kind), 422)
        assert predicted() == before
        assert post(client, body, kind, path="/predict/means?on_error=skip").status_code == 200
        assert predicted() == before + 2
    before = predicted()
    headers = {"content-type": CSV, "x-prediction-receipt": "1"}
    skipped = client.post("/predict/means?on_error=skip", content=b"left,right\nx,0\n0,y\n", headers=headers)
    assert [line.partition(",")[0] for line in skipped.text.splitlines()] == ["line", "2", "3"]
    assert predicted() == before


HUGE = np.array([[0.25, 0.25], [3e38, 3e38], [0.75, 0.75]], np.float32)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of an app whose model `means` overflows on the second row of `HUGE`."""
    folder = tmp_path_factory.mktemp("overflowing")
    publish_as_means(ModelRepository(folder / "models"), Overflows(2, 0.0))
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("kind", BODIES, ids=IDS.get)
def test_row_that_overflows_inside_the_model_is_the_clients_mistake(overflowing: TestClient, kind: str) -> None:
    answer = post(overflowing, BODIES[kind](HUGE, TWO), kind)

    assert assert_problem(answer, 422)["errors"][0]["row"] == 1 + FIRST_NUMBER.get(kind, 0)


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_row_that_overflows_inside_the_model_may_be_skipped(overflowing: TestClient, kind: str) -> None:
    answer = post(overflowing, BODIES[kind](HUGE, TWO), kind, JSON, "/predict/means?on_error=skip").json()

    assert ["error" in row for row in answer["predictions"]] == [False, True, False]
    assert "overflows" in answer["predictions"][1]["error"]["problem"]


def late(kind: str, count: int = LATE) -> bytes:
    """Return a body whose bad row comes long after the answer has begun."""
    x = rows(count)
    if kind in (ARROW, FLOAT32):
        x[-1, 1] = np.inf
        return BODIES[kind](x, TWO)
    return BODIES[kind](x, TWO) + (b"0.5,x\n" if kind == CSV else b"[0.5,true]\n")


@pytest.mark.slow
def test_last_words_name_line_and_column(steady: TestClient) -> None:
    in_csv = post_streamed(steady, late(CSV), CSV).text.splitlines()[-1]
    in_ndjson = json.loads(post_streamed(steady, late(NDJSON), NDJSON).content.splitlines()[-1])["error"]["detail"]
    in_json = post_streamed(steady, late(CSV), CSV, JSON).json()["error"]["detail"]

    assert in_csv.startswith(f"# error: line {LATE + 2}, column 'right': must be")
    assert in_ndjson.startswith(f"line {LATE + 1}, column 'right': must be")
    assert in_json.startswith(f"line {LATE + 2}, column 'right'")


@pytest.mark.slow
@pytest.mark.parametrize("wanted", BODIES, ids=IDS.get)
@pytest.mark.parametrize("given", STREAMED, ids=IDS.get)
def test_bad_row_anywhere_in_a_body_that_says_its_length_is_a_422(steady: TestClient, given: str, wanted: str) -> None:
    document = assert_problem(post(steady, late(given), given, wanted), 422)

    last = LATE - 1 if given in (ARROW, FLOAT32) else LATE + FIRST_NUMBER[given]
    assert (document["errors"][0]["row"], document["errors"][0]["feature"]) == (last, "right")


def test_body_that_grows_too_large_is_told_so_in_the_last_words(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository)
    pieces, headers = (as_csv(rows(10), TWO), b"0.5,0.5\n" * 200), ((b"content-type", CSV.encode()),)

    with TestClient(create_app(settings.model_copy(update={"max_stream_bytes": 1024}))) as client:
        assert client.portal is not None
        exchange = client.portal.call(ask, client.app, "/predict/means", pieces, headers)

    *answers, words = exchange.body.splitlines()
    assert (exchange.status, len(answers)) == (200, 11)
    assert words.startswith(b"# error: the body may have at most 1024 bytes (TABSERVE_MAX_STREAM_BYTES)")


# Over a socket


@dataclass(frozen=True)
class Live:
    """A running service."""

    client: httpx.Client
    pid: int
    log: Path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run a service with the model `means`."""
    folder = tmp_path_factory.mktemp("live")
    publish(ModelRepository(folder / "models"))
    with service(folder) as (client, process):
        yield Live(client, process.pid, folder / "service.log")


@pytest.mark.slow
@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_bad_row_after_the_answer_began_breaks_it_off(live: Live, kind: str) -> None:
    client = live.client
    received = b""

    def take(answer: httpx.Response) -> None:
        nonlocal received
        for part in answer.iter_raw():
            received += part

    body = late(kind, LARGE)
    assert len(body) > MAX_WHOLE_BYTES
    with client.stream("POST", "/predict/means", content=body, headers={"content-type": kind}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
            take(answer)

    assert len(received) > 10_000
    assert kind in (ARROW, FLOAT32) or b"column 'right'" in received[-300:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CSV, NDJSON, FLOAT32], ids=IDS.get)
def test_answer_begins_before_the_request_ends(live: Live, kind: str) -> None:
    client = live.client
    body = BODIES[kind](rows(200), TWO)
    half = body.rindex(b"\n", 0, len(body) // 2) + 1 if kind != FLOAT32 else len(body) // 2
    head, first, second, end = chunked(body[:half], body[half:], path="/predict/means", headers={"content-type": kind})

    with connected(client.base_url) as connection:
        connection.send(head, first)
        status, headers = connection.head()
        begun = connection.chunk()
        connection.send(second, end)
        answer = begun + b"".join(iter(connection.chunk, b""))

    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert 0 < len(probabilities(kind, begun)) < 200
    assert len(probabilities(kind, answer)) == 200


@pytest.mark.slow
def test_arrow_answers_batches_before_the_stream_ends(live: Live) -> None:
    client = live.client
    body = as_arrow(rows(200), TWO, 50)
    head, *chunks, end = chunked(
        *(body[at : at + 500] for at in range(0, len(body), 500)),
        path="/predict/means",
        headers={"content-type": ARROW},
    )

    with connected(client.base_url) as connection:
        connection.send(head, *chunks[:-1])
        connection.head()
        begun = connection.chunk()
        connection.send(chunks[-1], end)
        answer = begun + b"".join(iter(connection.chunk, b""))

    assert len(probabilities(ARROW, answer)) == 200


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def peak_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def count_lines(connection: Connection) -> int:
    connection.head()
    return sum(chunk.count(b"\n") for chunk in iter(connection.chunk, b""))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(live: Live) -> None:
    client, pid = live.client, live.pid
    thousand = as_csv(rows(1000), TWO).partition(b"\n")[2]
    counted: list[int] = []
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from here
    before = resident_mb(pid)

    with connected(client.base_url) as connection:
        reading = threading.Thread(target=lambda: counted.append(count_lines(connection)))
        head, header, end = chunked(b"left,right\n", path="/predict/means", headers={"content-type": CSV})
        connection.send(head, header)
        reading.start()
        for _ in range(300):
            connection.send(b"%x\r\n%b\r\n" % (len(thousand), thousand))
        connection.send(end)
        reading.join()

    assert counted == [300_001]
    assert peak_mb(pid) - before < 64


@pytest.mark.slow
def test_client_that_goes_away_in_the_middle_leaves_nothing_behind(live: Live) -> None:
    client = live.client
    head, header, first, _ = chunked(
        b"left,right\n", b"0.5,0.5\n" * 5000, path="/predict/means", headers={"content-type": CSV}
    )
    with connected(client.base_url) as connection:
        connection.send(head, header, first)
        connection.head()
        connection.reset()

    until(lambda: in_progress(live.client) == 1, "only the scrape is in progress")
    assert live.client.post("/predict/means", json={"instances": [[0.5, 0.5]]}).status_code == 200


WRONG_AT_THE_END = {
    "arrow is twice there": (ARROW, as_arrow(rows(3), TWO) * 2),
    "float32 ends within its second row": (FLOAT32, bytes(12)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), WRONG_AT_THE_END.values(), ids=WRONG_AT_THE_END.keys())
def test_body_of_unknown_length_that_goes_wrong_after_its_last_row_is_broken_off(
    live: Live, kind: str, body: bytes
) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
        live.client.post("/predict/means", content=iter((body,)), headers={"content-type": kind})


@pytest.mark.parametrize(("kind", "body"), WRONG_AT_THE_END.values(), ids=WRONG_AT_THE_END.keys())
def test_body_that_says_its_length_and_goes_wrong_after_its_last_row_is_a_400(
    steady: TestClient, kind: str, body: bytes
) -> None:
    assert_problem(post(steady, body, kind), 400)


@pytest.mark.slow
def test_mistakes_of_clients_leave_no_traceback_in_the_log(live: Live) -> None:
    for body in (late(CSV), b"left,right\n0.5\n", b"", bytes(12)):
        with contextlib.suppress(httpx.TransportError):
            live.client.post("/predict/means", content=iter((body,)), headers={"content-type": CSV})

    until(lambda: f"was broken off: line {LATE + 2}, column 'right'" in live.log.read_text(), "the line of the log")
    assert "Traceback" not in live.log.read_text()
