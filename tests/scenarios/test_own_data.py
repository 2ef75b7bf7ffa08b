"""From a CSV to an endpoint over a socket: upload, train, follow, predict, hostile input."""

from __future__ import annotations

import concurrent.futures
import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.app.sockets import Connection, connected
from tests.app.waiting import until
from tests.processes import service
from tests.promises import allowed
from tests.trainings import trained

pytestmark = pytest.mark.slow  # the default suite has the README's lines, and tests/app/api/routes/test_datasets.py

CSV = {"content-type": "text/csv"}
STOP_S = allowed(3)  # a client would wait for a minute


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Return a client of a service without models and recipes that accepts 4 MB."""
    settings = {"TABSERVE_RECIPES_DIR": str(folder / "none"), "TABSERVE_MAX_DATASET_BYTES": "4000000"}
    with service(folder, environment=settings, ready=False) as (client, _):
        client.timeout = httpx.Timeout(300)
        yield client


def churn(rows: int = 400) -> bytes:
    """Return customers who leave, `yes`, when they call more often than they have years."""
    draw = np.random.default_rng(1)
    years, calls = draw.uniform(0, 10, rows), draw.uniform(0, 10, rows)
    lines = [f"{y:.3f},{c:.3f},{'yes' if c > y else 'no'}" for y, c in zip(years, calls, strict=True)]
    return "\n".join(["years,calls,churned", *lines, ""]).encode()


def left_over(folder: Path) -> list[str]:
    return [path.name for path in (folder / "datasets").iterdir() if path.name.startswith((".incoming", ".removed"))]


def test_own_csv_becomes_a_model_that_no_file_of_the_project_knows(client: httpx.Client) -> None:
    put = client.put("/datasets/churn", content=churn(), headers=CSV)
    assert (put.status_code, put.headers["location"], put.json()["rows"]) == (201, "/datasets/churn", 400)
    columns = {column["name"]: column for column in put.json()["columns"]}
    assert [column["type"] for column in columns.values()] == ["numeric", "numeric", "boolean"]
    assert set(columns["churned"]["classes"]) == {"yes", "no"}
    assert client.get("/datasets/churn").json() == put.json()
    assert "churn" in [found["name"] for found in client.get("/datasets").json()["datasets"]]

    wanted = {"model": "leavers", "dataset": "churn", "target": "churned", "overrides": {"epochs": 60}, "seed": 1}

    job = trained(client, wanted | {"receipts": True})

    assert (job["status"], job["version"], job["activated"]) == ("succeeded", 1, True), job
    assert job["data_sha256"] == put.json()["sha256"]
    answer = client.post("/predict/leavers", json={"instances": [[1, 9], {"calls": 1, "years": 9}]}).json()
    assert [(found["label"], "receipt" in found) for found in answer["predictions"]] == [("yes", True), ("no", True)]
    assert "leavers" in [model["name"] for model in client.get("/models").json()["models"]]
    described = client.get("/openapi.json").json()["paths"]["/predict/leavers"]["post"]
    example = described["requestBody"]["content"]["application/json"]["examples"]["a row by feature name"]["value"]
    assert set(example["instances"][0]) == {"years", "calls"}
    assert client.post("/predict/leavers", json=example).status_code == 200
    history = client.get("/models/leavers/versions").json()["versions"]
    assert [(found["version"], found["job"], found["seed"], found["active"]) for found in history] == [
        (1, job["id"], 1, True)
    ]
    assert list(history[0]["data_sha256"].values()) == [put.json()["sha256"]]

    events = client.get(f"/train/{job['id']}/events").text
    numbers = [int(line.removeprefix("id: ")) for line in events.split("\n") if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    said = [json.loads(line.removeprefix("data: ")) for line in events.split("\n") if line.startswith("data: ")]
    epochs = [event["epoch"] for event in said if event["event"] == "epoch"]
    assert epochs
    assert epochs == list(range(1, len(epochs) + 1))
    assert events.rstrip("\n").rpartition("event: ")[2].startswith("result")


def test_f7_names_may_hold_anything_from_the_upload_to_the_prediction(client: httpx.Client) -> None:
    names = [
        "a,b",
        'say "x"',
        "two\nlines",
        "a\ttab",
        "\N{GRINNING FACE}",
        "n" * 200,
        "--data",
        "=1+1",
        "[0]",
        "$x$",
        "a\\b",
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, "a\nnote", "-the=target"])
    for row in range(60):
        writer.writerow(
            [1.5 * row + column for column in range(len(names))] + ["some text", "low" if row < 30 else "$hi$h"]
        )
    put = client.put("/datasets/names", content=stream.getvalue().encode(), headers=CSV)
    assert (put.status_code, [column["name"] for column in put.json()["columns"]][:-2]) == (201, names), put.text

    wanted = {"model": "names", "dataset": "names", "target": "-the=target", "overrides": {"epochs": 40}, "seed": 1}
    job = trained(client, {**wanted, "activate": "always"})

    assert job["status"] == "succeeded", job
    rows = [{name: 1.5 * row + column for column, name in enumerate(names)} for row in (0, 59)]
    answer = client.post("/predict/names", json={"instances": rows}).json()
    assert [found["label"] for found in answer["predictions"]] == ["low", "$hi$h"]
    assert [feature["name"] for feature in client.get("/models/names").json()["features"]] == names
    assert client.delete("/datasets/names").status_code == 204


BROKEN = {
    "ragged row": (b"x,y\n1,a\n2\n3,b\n", 3, None),
    "header only": (b"x,y\n", None, None),
    "empty": (b"", None, None),
    "column named twice": (b"x,x,y\n1,2,a\n", 1, "x"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00", None, None),
}


@pytest.mark.parametrize(("body", "line", "column"), BROKEN.values(), ids=BROKEN.keys())
def test_fault_is_named_by_line_and_column_and_nothing_is_kept(
    client: httpx.Client, folder: Path, body: bytes, line: int | None, column: str | None
) -> None:
    answer = client.put("/datasets/broken", content=body, headers=CSV)

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:tabserve:problem:invalid-dataset"), problem
    assert problem["errors"]
    if line is not None:
        assert problem["errors"][0]["row"] == line
    if column is not None:
        assert problem["errors"][0]["feature"] == column
    assert client.get("/datasets/broken").status_code == 404
    assert left_over(folder) == []


NAMES = [
    "..%2f..%2fetc",
    "%2e%2e",
    "CURRENT",
    ".lock",
    "A",
    "a%00b",
    "%0a",
    "a" * 65,
    "-a",
    "%C3%A4",
    "a%20b",
    "~",
    "con.",
    "%ff",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_refused_and_touch_nothing(client: httpx.Client, folder: Path, name: str) -> None:
    assert client.get("/datasets/nobody").status_code == 404  # the first request of a service makes files of its state
    before = sorted(path.name for path in folder.rglob("*"))
    with connected(client.base_url) as connection:
        answers = []
        for method, body in (("PUT", b"x,y\n1,a\n2,b\n"), ("GET", b""), ("DELETE", b"")):
            connection.send(raw(method, f"/datasets/{name}", body))
            answers.append(connection.answer())

    assert [answer.status for answer in answers[1:]] == [404, 404]
    assert answers[0].status in (404, 422)
    assert all(json.loads(answer.body)["request_id"] for answer in answers)
    until(lambda: sorted(path.name for path in folder.rglob("*")) == before, "nothing but what was there")


def raw(method: str, path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return a request; `length` is its declared length, which may be wrong."""
    declared = len(body) if length is None else length
    lines = [f"{method} {path} HTTP/1.1", "host: x", "content-type: text/csv", f"content-length: {declared}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_body_that_says_too_large_is_refused_before_a_byte(client: httpx.Client) -> None:
    with connected(client.base_url) as connection:
        connection.send(raw("PUT", "/datasets/big", b"", "expect: 100-continue", length=4_000_001))
        answer = connection.answer()

    assert (answer.status, json.loads(answer.body)["type"]) == (413, "urn:tabserve:problem:dataset-too-large")


@pytest.mark.parametrize("length", ["9" * 19, "9" * 400, "-1", "1e3", "0x10"])
def test_length_that_is_absurd_is_refused(client: httpx.Client, length: str) -> None:
    head = f"PUT /datasets/big HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: {length}\r\n\r\n"
    with connected(client.base_url) as connection:
        connection.send(head.encode())
        answer = connection.answer()

    assert answer.status in (400, 413)


def test_chunked_body_that_grows_too_large_is_refused_and_nothing_kept(client: httpx.Client, folder: Path) -> None:
    def endless() -> Iterator[bytes]:
        yield b"x,y\n"
        for _ in range(100):
            yield b"1,a\n" * 16_000

    try:
        answer = client.put("/datasets/big", content=endless(), headers=CSV)
    except httpx.TransportError:  # the service closed the connection while we still sent
        answer = client.get("/datasets/big")

    assert answer.status_code in (413, 404)
    assert client.get("/datasets/big").status_code == 404
    until(lambda: left_over(folder) == [], "nothing is left")


@pytest.mark.parametrize("end", ["reset", "close"])
def test_upload_that_is_cut_off_leaves_nothing(client: httpx.Client, folder: Path, end: str) -> None:
    with connected(client.base_url) as connection:
        connection.send(raw("PUT", "/datasets/cut", b"x,y\n" + b"1,a\n" * 300_000, length=3_000_000))
        until(lambda: left_over(folder), "the upload has begun")
        if end == "reset":
            connection.reset()
        else:
            connection.socket.close()

    until(lambda: left_over(folder) == [], "nothing is left")
    assert client.get("/datasets/cut").status_code == 404


def test_slow_upload_hurts_nobody(client: httpx.Client, folder: Path) -> None:
    body = churn()
    with connected(client.base_url) as slow:
        slow.send(raw("PUT", "/datasets/slow", body[:50], length=len(body)))
        until(lambda: left_over(folder), "the upload has begun")
        began = time.monotonic()
        assert client.put("/datasets/quick", content=body, headers=CSV).status_code == 201
        assert client.get("/datasets").status_code == 200
        assert time.monotonic() - began < allowed(5)
        slow.send(body[50:])
        assert slow.answer().status == 201

    for name in ("slow", "quick"):
        assert client.delete(f"/datasets/{name}").status_code == 204


def test_of_several_at_once_one_is_kept_whole(client: httpx.Client, folder: Path) -> None:
    bodies = [churn(rows) for rows in (50, 60, 70, 80)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: client.put("/datasets/twin", content=body, headers=CSV), bodies))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    kept = client.get("/datasets/twin").json()
    (path,) = (folder / "datasets" / "twin").glob("*/twin.csv")
    assert (path.parent.name, path.read_bytes() in bodies) == (kept["sha256"], True)
    assert client.delete("/datasets/twin").status_code == 204


def test_ten_thousand_columns_are_described_and_others_served_meanwhile(client: httpx.Client) -> None:
    names = [f"f{number}" for number in range(9_999)]
    row = ",".join(str(number % 7) for number in range(9_999))
    body = "\n".join([",".join([*names, "y"]), *(f"{row},{label}" for label in "abababababab"), ""]).encode()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        putting = pool.submit(client.put, "/datasets/wide", content=body, headers=CSV, timeout=300)
        slowest = 0.0
        while not putting.done():
            began = time.monotonic()
            assert client.get("/livez").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            concurrent.futures.wait([putting], 0.02)  # else the looks take a core from the check

    assert (putting.result().status_code, len(putting.result().json()["columns"])) == (201, 10_000)
    assert slowest < allowed(0.5)
    wanted = {"model": "wide", "dataset": "wide", "target": "f0", "features": [*names[1:], names[1]]}
    began = time.monotonic()
    assert client.post("/train", json=wanted).status_code == 422  # the last name is repeated
    assert time.monotonic() - began < allowed(1)
    assert client.delete("/datasets/wide").status_code == 204


REFUSED: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "data set unknown": ({"dataset": "nobody", "target": "churned"}, 404, None),
    "target left out": ({"dataset": "churn"}, 422, "target"),
    "target unknown": ({"dataset": "churn", "target": "left"}, 422, "target"),
    "feature unknown": ({"dataset": "churn", "target": "churned", "features": ["age"]}, 422, "features.0"),
    "feature is the target": ({"dataset": "churn", "target": "churned", "features": ["churned"]}, 422, "features.0"),
    "text as numbers": ({"dataset": "churn", "target": "years", "types": {"churned": "numeric"}}, 422, "types"),
}


@pytest.mark.parametrize(("fields", "status", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_data_set_cannot_give_is_refused_at_once(
    client: httpx.Client, fields: dict[str, Any], status: int, place: str | None
) -> None:
    client.put("/datasets/churn", content=churn(), headers=CSV)

    answer = client.post("/train", json={"model": "leavers", **fields})

    assert answer.status_code == status, answer.text
    if place is not None:
        assert answer.json()["errors"][0]["feature"] == place


def test_data_set_in_use_is_not_deleted_and_its_training_ends_on_what_it_began_with(
    client: httpx.Client, folder: Path
) -> None:
    first = client.put("/datasets/used", content=churn(3000), headers=CSV).json()["sha256"]
    wanted = {"model": "user", "dataset": "used", "target": "churned", "overrides": {"epochs": 100_000, "patience": 0}}
    location = client.post("/train", json=wanted).headers["location"]
    until(lambda: client.get(location).json()["progress"], "it trains")

    refused = client.delete("/datasets/used")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tabserve:problem:dataset-in-use")
    second = client.put("/datasets/used", content=churn(2000), headers=CSV).json()["sha256"]
    assert {path.parent.name for path in (folder / "datasets" / "used").glob("*/used.csv")} == {first, second}
    assert client.get(location).json()["data_sha256"] == first

    assert client.delete(location).status_code == 202
    assert until(lambda: client.get(location).json()["reason"], "it is cancelled") == "cancelled"
    assert client.delete("/datasets/used").status_code == 204
    assert not (folder / "datasets" / "used").exists()
    assert client.get("/models/user").status_code == 404


@pytest.mark.parametrize("header", ["idempotency-key", "last-event-id", "prefer", "x-request-id", "x-anything"])
def test_huge_headers_are_refused_or_passed_over(client: httpx.Client, header: str) -> None:
    answer = client.post("/train", json={"model": "nobody"}, headers={header: "9" * 60_000})

    assert answer.status_code in (400, 404, 422, 431)
    assert client.get("/livez").status_code == 200


def test_service_stops_soon_although_clients_follow_and_wait(tmp_path: Path) -> None:
    environment = {"TABSERVE_TRAIN_CONCURRENCY": "0"}
    with service(tmp_path, environment=environment, ready=False) as (client, process):
        location = client.post("/train", json={"model": "iris"}).headers["location"]
        with connected(client.base_url) as following, connected(client.base_url) as waiting:
            following.send(f"GET {location}/events HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert b"retry: 1000" in first_chunk(following)
            body = b'{"model": "cancer"}'
            waiting.send(raw("POST", "/train", body, "prefer: wait=60").replace(b"text/csv", b"application/json"))
            until(lambda: len(client.get("/train").json()["jobs"]) == 2, "the second client waits")
            began = time.monotonic()
            process.terminate()
            assert process.wait(STOP_S) in (0, -15)
            assert time.monotonic() - began < STOP_S
            assert waiting.answer().status == 202
            assert following.chunk() == b""


def first_chunk(connection: Connection) -> bytes:
    assert connection.head()[0] == 200
    return connection.chunk()
