"""The log of a running service: unforgeable lines, no key and no value (S-23, M-16)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.security.audit.verification import verify
from app.security.keys import KeyFile, Scope
from tests.app.runners import write_training
from tests.app.sockets import connected, request
from tests.app.telemetry.logs.records import NASTY
from tests.app.waiting import until
from tests.attacks.conftest import store_in
from tests.faults.scenes import children_of
from tests.processes import service
from tests.promises import Measured
from tests.trainings import FINAL

pytestmark = pytest.mark.slow

CRLF_FORGED = '\r\n{"level": "critical", "message": "forged"}\r\n'
PAYLOADS = [*NASTY.values(), CRLF_FORGED, '{"message":"forged"}', "%0d%0aforged", "\x1b]0;forged\x07"]
# Values that do not occur by chance; most are outside the training range and cause warnings.
PLANTED = [f"73{number:02}.91827" for number in range(50)]
PIPE_BYTES, LINE_BYTES = 1 << 12, 200  # the smallest pipe, and less than what is logged of a request
PLANTED_FORM = re.compile(r"73\d\d\.9182")


@dataclass(frozen=True)
class Watched:
    """A running service with an access log, the model `iris`, and a key for everything."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    folder: Path
    key: str

    @property
    def url(self) -> httpx.URL:
        return self.client.base_url

    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def log(self) -> bytes:
        """Return the service's standard output and standard error."""
        return (self.folder / "service.log").read_bytes()

    def lines(self) -> list[dict[str, Any]]:
        whole, _, _ = self.log().rpartition(b"\n")  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    def answered(self) -> Counter[int]:
        """Return the number of logged requests, by status."""
        return Counter(line["status"] for line in self.lines() if line["message"] == "answered")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    store_in(folder)
    write_training(folder / "cwd", "while True: time.sleep(1)")
    file = KeyFile(folder / "keys.json")
    key = file.create(frozenset(Scope), None, "")
    environment = {"TABSERVE_KEYS_FILE": str(file.path), "TABSERVE_ACCESS_LOG": "true"}
    with service(folder, environment=environment, cwd=folder / "cwd") as (client, process):
        yield Watched(client, process, folder, key)


def percent(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def hostile(payload: str, bearer: dict[str, str]) -> Iterator[bytes]:
    """Yield requests with the payload in each place that a client controls."""
    coded, raw = percent(payload), payload.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\r\n ")
    json_type, csv = {"content-type": "application/json"}, {"content-type": "text/csv"}
    name = json.dumps(payload)
    yield request(path=f"/{coded}")
    yield request(b"", f"/{coded}", bearer, method="GET")
    yield request(b"", f"/models?{coded}={coded}", bearer, method="GET")
    yield request(path=f"/predict/{coded}", headers={**json_type, **bearer})
    yield request(b"", f"/models/{coded}", bearer, method="GET")
    yield request(b"a,b\n1,2\n", f"/datasets/{coded}", {**csv, **bearer}, method="PUT")
    yield request(b"", f"/train/{coded}", bearer, method="DELETE")
    yield request(b"", f"/v2/models/{coded}/versions/1", bearer, method="GET")
    yield request(b'{"model": %b}' % name.encode(), "/train", {**json_type, **bearer})
    yield request(b'{"instances": [{%b: 1}]}' % name.encode(), headers={**json_type, **bearer})
    for header in ("x-request-id", "user-agent", "x-forwarded-for", "authorization", "traceparent", "idempotency-key"):
        head = request(b"", "/models", {**bearer, "x-place": "here"}, method="GET")
        yield head.replace(b"x-place: here", header.encode() + b": " + raw)
    yield b"GET /" + payload.encode("utf-8", "surrogateescape") + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"


def test_no_stranger_makes_a_line_of_the_log(watched: Watched, measured: Measured) -> None:
    """S-23: lines parse and are as many as the answers, without any escape sequence, whatever was sent where."""
    before, statuses = watched.answered(), Counter[int]()
    sent = 0
    for payload in PAYLOADS + [name * 40 for name in NASTY.values()] + [f"{name}x" for name in NASTY.values()]:
        for packet in hostile(payload, watched.bearer()):
            sent += 1
            with connected(watched.url) as connection:
                connection.send(packet)
                statuses[connection.answer().status] += 1
    assert sent >= 300

    until(lambda: (watched.answered() - before).total() >= sent, "every answer has its line")
    assert watched.answered() - before == statuses
    raw = watched.log()
    assert not [byte for byte in raw if byte < 0x20 and byte != 0x0A]
    assert b"\x1b" not in raw
    assert raw.isascii()
    assert not [line for line in watched.lines() if line["message"] == "forged" or line["level"] == "critical"]
    assert all(len(line.get("path", "")) <= 259 for line in watched.lines())
    verify([watched.folder / "state" / "audit.jsonl"])
    measured("S-23", f"{sent} hostile requests: {sent} lines, all JSON, none forged, no escape sequence")


def descendants(pid: int) -> set[int]:
    found = children_of(pid)
    return found.union(*(descendants(child) for child in found))


def test_no_secret_is_in_logs_figures_or_processes(watched: Watched, measured: Measured) -> None:
    """S-23: including keys presented in a wrong way, and the arguments and variables of child processes."""
    bearer = watched.bearer()
    secret = watched.key.split("_", 2)[2]
    wrong = f"tabserve_{'0' * 12}_{'Zq9' * 14}Z"
    for headers in ({"authorization": watched.key}, {"authorization": f"Basic {watched.key}"}, {"x-api-key": secret}):
        watched.client.get("/models", headers=headers)
    watched.client.get("/models", headers={"authorization": f"Bearer {wrong}"})
    watched.client.get(f"/models/{secret[:5]}", headers=bearer)
    job = watched.client.post("/train", json={"model": "iris"}, headers=bearer).json()["id"]
    running = until(lambda: watched.client.get(f"/train/{job}", headers=bearer).json()["progress"], "it runs")
    assert running

    looked_at = 0
    for pid in descendants(watched.process.pid) | {watched.process.pid}:
        for what in ("cmdline", "environ"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                assert secret.encode() not in Path(f"/proc/{pid}/{what}").read_bytes(), what
                looked_at += 1
    watched.client.delete(f"/train/{job}", headers=bearer)
    figures = watched.client.get("/metrics", headers=bearer).content
    audit = (watched.folder / "state" / "audit.jsonl").read_bytes()
    for text in (watched.log(), figures, audit):
        assert secret.encode() not in text
        assert wrong.encode() not in text
    assert looked_at >= 6  # the service, the process that tries models, a training
    measured("S-23", f"0 secrets of keys in logs, figures, the audit file, and {looked_at} files of processes")


def planted_requests() -> Iterator[tuple[str, str, bytes, str]]:
    """Yield method, path, body and type of requests that hold planted values, most of them wrong in some way."""
    a, b, c, d = PLANTED[:4]
    rows = ",".join(f"[{x},{x},{x},{x}]" for x in PLANTED)
    csv = "sepal_length,sepal_width,petal_length,petal_width\n" + "".join(f"{x},{x},{x},{x}\n" for x in PLANTED)
    predict, infer = "/predict/iris", "/v2/models/iris/infer"
    for body in (
        f'{{"instances": [{rows}]}}',
        f'{{"instances": [["{a}", 1, 2, 3], [{b}, null, "{c}x", []]]}}',
        f'{{"instances": [[{a}, {b}, {c}]]}}',
        f'{{"instances": [[{a}, {b}, {c}, {d}, {a}]]}}',
        f'{{"instances": [{{"{a}": {b}, "sepal_length": {c}}}]}}',
        f'{{"instances": [[{a}e300, {b}, {c}, {d}]]}}',
        f'{{"instances": [[{a}, {b}',
        f'{{"{a}": "{b}"}}',
        f'{{"instances": {a}}}',
    ):
        yield "POST", predict, body.encode(), "application/json"
    yield "POST", predict, csv.encode(), "text/csv"
    yield "POST", predict, csv.replace(f"{b},", f"{b}x,").encode(), "text/csv"
    yield "POST", predict, csv.replace("petal_width", a).encode(), "text/csv"
    yield "POST", predict, f'[{a}, {b}, "{c}", {d}]\n[{a}]\n'.encode(), "application/x-ndjson"
    yield "POST", predict, b"\x01" + a.encode(), "application/octet-stream"
    for data in (f"[{a}, {b}, {c}, {d}]", f'["{a}", {b}, {c}, {d}]', f"[{a}, {b}]", f"[{a}, {b}"):
        tensor = f'{{"inputs": [{{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": {data}}}]}}'
        yield "POST", infer, tensor.encode(), "application/json"
    yield "POST", "/train", f'{{"model": "iris", "overrides": {{"lr": "{a}"}}}}'.encode(), "application/json"
    yield "PUT", "/datasets/wrong", f"left,right,kind\n{a},{b}x,{c}\n{d}\n".encode(), "text/csv"
    yield "PUT", "/datasets/quoted", f'left,right,kind\n"{a},{b},{c}\n'.encode(), "text/csv"
    planted = "".join(f"{x},{y},{'ab'[n % 2]}\n" for n, (x, y) in enumerate(zip(PLANTED, PLANTED[::-1], strict=True)))
    yield "PUT", "/datasets/planted", f"left,right,kind\n{planted}".encode(), "text/csv"


# a client's names are repeated in errors: they are no values
NAME_FORM = re.compile(r"""'[^']*'|"feature":"[^"]*"|"detail":"[^:"]*: is not known""")


def test_no_value_is_in_logs_errors_figures_or_jobs(tmp_path: Path, measured: Measured) -> None:
    """M-16: with the real training, which sees the values as well."""
    store_in(tmp_path)
    environment = {"TABSERVE_ACCESS_LOG": "true", "TABSERVE_LOG_LEVEL": "debug"}
    texts: dict[str, str] = {}
    with service(tmp_path, environment=environment) as (client, _):
        for number, (method, path, body, kind) in enumerate(planted_requests()):
            answer = client.request(method, path, content=body, headers={"content-type": kind})
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400:
                texts[f"error {number}"] = NAME_FORM.sub("", answer.text)
        for target in ("kind", "none"):  # names of classes and columns may appear: they are not values
            wanted = {"model": "planted", "dataset": "planted", "target": target, "overrides": {"epochs": 3}}
            answer = client.post("/train", json=wanted)
            texts[f"training on {target}"] = answer.text
            if answer.status_code == 202:
                where = answer.headers["location"]
                until(lambda where=where: client.get(where).json()["status"] in FINAL, "it ends")  # type: ignore[misc]
                texts[where] = client.get(where).text
                texts[f"{where}/events"] = client.get(f"{where}/events").text
        texts["figures"] = client.get("/metrics").text
        texts["health"] = client.get("/health").text
        texts["jobs"] = client.get("/train").text
    texts["log"] = (tmp_path / "service.log").read_text()
    texts["audit"] = (tmp_path / "state" / "audit.jsonl").read_text()

    assert len(texts) > 20
    assert [name for name, text in texts.items() if PLANTED_FORM.search(text)] == []
    measured("M-16", f"{len(PLANTED)} planted values, {len(texts)} texts of errors, logs, figures and jobs: 0 hits")


@pytest.mark.parametrize("how", ["nobody reads it", "it is closed"])
def test_service_answers_on_when_standard_error_is_stuck_or_closed(how: str, tmp_path: Path) -> None:
    """More is logged than a pipe holds, and nobody takes it."""
    store_in(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    where = "2>&-" if how == "it is closed" else f"2<>{tmp_path / 'pipe'}"
    prefix = ["sh", "-c", f'exec "$@" {where}', "sh"]
    with service(tmp_path, environment={"TABSERVE_ACCESS_LOG": "true"}, prefix=prefix) as (client, process):
        for _ in range(4 * PIPE_BYTES // LINE_BYTES):
            assert client.get("/models").status_code == 200
        assert client.get("/metrics").status_code == 200
        process.terminate()
        assert process.wait(120) == 0
    os.close(pipe)
