"""Addresses and paths in every text field: no connection, no file is opened (S-01)."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from app.security.keys import Scope
from tests.app.sockets import connected, request
from tests.attacks.conftest import Guarded
from tests.attacks.test_scopes import ROUTES
from tests.promises import Measured

pytestmark = pytest.mark.slow

SUSPICIOUS = re.compile(r"ur[il]|path|file|module|entry_?point|command|callback|hook|host", re.IGNORECASE)
SECRET = "canary-7f3a"  # content of a file that must not be read


def names(node: Any) -> Iterator[str]:
    """Yield the names of all parameters and properties of a document."""
    if isinstance(node, list):
        for child in node:
            yield from names(child)
    if isinstance(node, dict):
        if "in" in node and "name" in node:
            yield node["name"]
        yield from node.get("properties", ())
        for child in node.values():
            yield from names(child)


def test_nothing_that_can_be_sent_is_an_address_or_a_path(guarded: Guarded) -> None:
    document = guarded.client.get("/openapi.json", headers=guarded.bearer(Scope.PREDICT)).json()
    bodies = [operation.get("requestBody") for item in document["paths"].values() for operation in item.values()]
    sent = {*names([each for each in bodies if each])}
    sent |= {
        parameter["name"]
        for item in document["paths"].values()
        for o in item.values()
        for parameter in o.get("parameters", ())
    }
    for schema in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(bodies)):
        sent |= {*names(document["components"]["schemas"][schema])}

    assert len(sent) > 20
    assert [name for name in sent if SUSPICIOUS.search(name)] == []


def test_addresses_and_paths_in_any_field_reach_nothing(
    guarded: Guarded, measured: Measured, tmp_path_factory: pytest.TempPathFactory
) -> None:
    canary = tmp_path_factory.mktemp("canary") / "secret.txt"
    canary.write_text(SECRET)
    sent = 0
    with socket.socket() as listener, connected(guarded.url) as connection:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = listener.getsockname()[1]
        texts = [f"http://127.0.0.1:{port}/x", f"//127.0.0.1:{port}", f"tcp://127.0.0.1:{port}", f"file://{canary}"]
        texts += [
            str(canary),
            f"../../../../../../../..{canary}",
            f"{canary}\x00.csv",
            f"|cat {canary}",
            f"$(cat {canary})",
        ]
        texts += [f"\\\\127.0.0.1:{port}\\x", f"`curl 127.0.0.1:{port}`", f"__import__('os').system('cat {canary}')"]
        for text, (path, scope, body) in itertools.product(texts, FIELDS):
            content = json.dumps(body).replace("HERE", json.dumps(text)[1:-1]).encode()
            headers = {"content-type": "application/json", **guarded.bearer(scope)}
            connection.send(request(content, path, headers))
            answer = connection.answer()
            assert answer.status in (400, 404, 409, 422), (path, text, answer)
            assert SECRET.encode() not in answer.body
            sent += 1
        for text, route in itertools.product(texts, ROUTES):
            method, path = route.split(" ")
            needed = ROUTES[route]
            if "{" not in path or needed is None:
                continue
            plain = re.sub(r"\{[^}]*\}", "".join(f"%{byte:02x}" for byte in text.encode()), path)
            connection.send(request(b"", plain, guarded.bearer(needed), method=method))
            answer = connection.answer()
            assert 400 <= answer.status < 500, (route, text, answer)
            assert SECRET.encode() not in answer.body
            sent += 1
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert SECRET not in guarded.log.read_text()
    measured("S-01", f"{sent} addresses and paths in every field and path: all 4xx, 0 connections, 0 files read")
    assert sent >= 200


ROW = [1, 2, 3, 4]
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW}
FIELDS: tuple[tuple[str, Scope, object], ...] = (
    ("/predict", Scope.PREDICT, {"model": "HERE", "instances": [ROW]}),
    ("/predict/iris", Scope.PREDICT, {"instances": "HERE"}),
    ("/predict/iris", Scope.PREDICT, {"instances": [["HERE", 2, 3, 4]]}),
    ("/predict/iris", Scope.PREDICT, {"instances": [{"HERE": 1}]}),
    ("/predict/iris", Scope.PREDICT, {"instances": [ROW], "version": "HERE"}),
    ("/predict/iris", Scope.PREDICT, {"instances": [ROW], "HERE": 1}),
    ("/train", Scope.TRAIN, {"model": "HERE"}),
    ("/train", Scope.TRAIN, {"model": "iris", "dataset": "HERE"}),
    ("/train", Scope.TRAIN, {"model": "iris", "data": "HERE"}),
    ("/train", Scope.TRAIN, {"model": "iris", "dataset": {"name": "HERE"}}),
    ("/train", Scope.TRAIN, {"model": "iris", "HERE": 1}),
    ("/train", Scope.TRAIN, {"model": "iris", "timeout_s": "HERE"}),
    ("/v2/models/iris/infer", Scope.PREDICT, {"inputs": [{**TENSOR, "datatype": "HERE"}]}),
    ("/v2/models/iris/infer", Scope.PREDICT, {"inputs": [{**TENSOR, "data": ["HERE", 2, 3, 4]}]}),
    ("/v2/models/iris/infer", Scope.PREDICT, {"inputs": [TENSOR], "outputs": [{"name": "HERE"}]}),
    ("/v2/models/iris/infer", Scope.PREDICT, {"inputs": [TENSOR, {**TENSOR, "name": "HERE"}]}),
)
