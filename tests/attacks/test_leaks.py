"""Errors describe the client's mistake, and nothing of machine, program or keys (S-12)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.app.api import test_error_responses
from tests.app.api.routes import test_oip_errors
from tests.app.broken import POISON, Logits, RaisesLater, damage, publish_as_means
from tests.app.problems import leaks
from tests.app.sockets import connected, request
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, store_in
from tests.processes import service
from tests.promises import Measured

pytestmark = pytest.mark.slow

# Of Triton: shared memory, tracing, logging, loading. Each has had holes, and none is here.
EXTENSIONS = [
    ("GET", "/v2/systemsharedmemory/status"),
    ("GET", "/v2/systemsharedmemory/region/a/status"),
    ("POST", "/v2/systemsharedmemory/region/a/register"),
    ("POST", "/v2/systemsharedmemory/unregister"),
    ("GET", "/v2/cudasharedmemory/status"),
    ("POST", "/v2/cudasharedmemory/region/a/register"),
    ("POST", "/v2/cudasharedmemory/unregister"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/trace/setting"),
    ("GET", "/v2/models/iris/trace/setting"),
    ("POST", "/v2/models/iris/trace/setting"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("POST", "/v2/repository/models/iris/load"),
    ("POST", "/v2/repository/models/iris/unload"),
    ("GET", "/v2/models/iris/config"),
    ("POST", "/v2/models/iris/generate"),
]


@pytest.mark.parametrize(("method", "path"), EXTENSIONS)
def test_dangerous_extensions_are_not_there(method: str, path: str, guarded: Guarded) -> None:
    """S-12: for nobody, whatever the key."""
    for scope in Scope:
        answer = guarded.client.request(method, path, headers=guarded.bearer(scope), json={})
        assert answer.status_code == 404, scope
        assert list(answer.json()) == ["error"]
        assert leaks(answer.text) == []


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return a service with many faults: a model that fails, a damaged one, a refused version, keys."""
    folder = tmp_path_factory.mktemp("failing")
    store_in(folder)
    repository = ModelRepository(folder / "models")
    publish_as_means(repository, RaisesLater(2, 0.0))
    publish_as_means(repository, Logits(2, 0.0), activate=False)
    damage(repository, 1, "iris")
    file = KeyFile(folder / "keys.json")
    keys = dict.fromkeys(Scope, file.create(frozenset(Scope), None, ""))
    environment = {"TABSERVE_KEYS_FILE": str(file.path), "TABSERVE_MAX_BODY_BYTES": "100000"}
    with service(folder, environment=environment) as (client, process):
        yield Guarded(client, process.pid, keys, file, folder / "service.log")


GOOD = b'{"instances": [[0.5, 0.5]]}'
JSON = {"content-type": "application/json"}
POISONED = json.dumps({"instances": [[2 * POISON, 0.5]]}).encode()
MORE: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "internal error": ("POST", "/predict/means", POISONED, JSON),
    "internal error of all routes": ("POST", "/predict", POISONED.replace(b"{", b'{"model": "means", '), JSON),
    "model not ready": ("POST", "/predict/iris", GOOD, JSON),
    "version refused": ("POST", "/models/means/versions/2/activate", b"", {}),
    "version in use": ("DELETE", "/models/means/versions/1", b"", {}),
    "not comparable": ("GET", "/models/means/compare?versions=1,2", b"", {}),
    "body too large": ("POST", "/predict/means", b"[" * 100_001, JSON),
    "encoded body": ("POST", "/predict/means", GOOD, {**JSON, "content-encoding": "gzip"}),
    "no number of milliseconds": ("POST", "/predict/means", GOOD, {**JSON, "x-request-timeout-ms": "soon"}),
    "broken arrow": ("POST", "/predict/means", b"ARROW1", {"content-type": "application/vnd.apache.arrow.stream"}),
    "broken float32": ("POST", "/predict/means", b"123", {"content-type": "application/octet-stream"}),
    "broken csv": ("POST", "/predict/means", b"left,right\n1,x\n", {"content-type": "text/csv"}),
    "broken data set": ("PUT", "/datasets/a", b"a,b\n1\n", {"content-type": "text/csv"}),
    "name of a data set": ("PUT", "/datasets/..", b"a,b\n1,2\n", {"content-type": "text/csv"}),
    "unknown data set": ("GET", "/datasets/none", b"", {}),
    "unknown key": ("GET", "/models", b"", {"authorization": f"Bearer tabserve_{'0' * 12}_{'A' * 43}"}),
    "malformed key": ("GET", "/models", b"", {"authorization": "Bearer x"}),
    "tensor of another size": ("POST", "/v2/models/means/infer", b'{"inputs": []}', JSON),
}
RAW = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    "long head": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    "both lengths": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "control in a header": request(b"", "/models", {"x-a": "\x01"}, method="GET"),
}


def errors_of(failing: Guarded) -> Iterator[tuple[str, int, str]]:
    """Yield name, status and body of every way to fail that is known here."""
    bearer = failing.bearer(Scope.PREDICT)

    def ask(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        answer: httpx.Response = failing.client.request(method, path, content=body, headers={**bearer, **headers})
        return answer.status_code, answer.text

    for name, failure in test_error_responses.FAILURES.items():
        yield name, *ask(failure.method, failure.path, failure.body, {"content-type": failure.content_type})
    for name, (_, method, path) in test_oip_errors.FAILURES.items():
        yield name, *ask(method, path, None, {})
    for name, (method, path, body, headers) in MORE.items():
        yield name, *ask(method, path, body, headers)
    yield "no key", *ask("GET", "/models", None, {"authorization": ""})
    for name, packet in RAW.items():
        with connected(failing.client.base_url) as connection:
            connection.send(packet)
            answer = connection.answer()
            yield name, answer.status, answer.body.decode()


def test_no_error_of_any_kind_tells_of_machine_program_or_keys(failing: Guarded, measured: Measured) -> None:
    """S-12: over the same service, one after the other."""
    _, key_id, secret = failing.keys[Scope.PREDICT].split("_", 2)  # a secret may have underscores of its own
    kinds, bodies = set[str](), 0
    for name, status, text in errors_of(failing):
        assert status >= 400, name
        assert leaks(text) == [], name
        assert secret not in text, name
        assert key_id not in text, name
        kinds.add(json.loads(text).get("type", "error of the inference protocol"))
        bodies += 1
    assert len(kinds) >= 20, kinds
    measured(
        "S-12", f"{len(EXTENSIONS)} extension routes are 404; {bodies} error bodies of {len(kinds)} kinds: 0 leaks"
    )


def test_internal_error_is_found_in_the_log_by_its_id_and_has_no_values(failing: Guarded) -> None:
    headers = {**JSON, **failing.bearer(Scope.PREDICT), "x-request-id": "the-one-that-failed"}
    answer = failing.client.post("/predict/means", content=POISONED, headers=headers)

    assert answer.status_code == 500
    assert answer.json()["detail"] == "internal error; the log has it under the request id"
    assert answer.json()["errors"] == []

    def logged() -> dict[str, str] | None:
        """Look for the line, which a thread writes."""
        lines = [json.loads(line) for line in failing.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        found = [line for line in lines if line.get("request_id") == "the-one-that-failed" and "error" in line]
        assert len(found) <= 1
        return found[0] if found else None

    line = until(logged, "the line of the error")
    assert "app/runtime/load.py" in line["traceback"]
    assert "2000000" not in json.dumps(line)


def test_files_of_the_service_are_not_served(guarded: Guarded) -> None:
    for name in ("keys.json", "audit.jsonl", "..%2fkeys.json", "%2e%2e/%2e%2e/etc/passwd", "swagger-ui.css%00.js"):
        answer = guarded.client.get(f"/docs/{name}", headers=guarded.bearer(Scope.PREDICT))
        assert answer.status_code == 404, name
        assert leaks(answer.text) == []
