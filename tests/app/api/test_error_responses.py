"""Every way to fail, in the one shape of error (problem details, RFC 9457):

    {
        "type": "urn:tabserve:problem:<name of the error>",
        "title": "<phrase of the HTTP status>",
        "status": <the HTTP status>,
        "detail": "<what was expected, what came, what to do>",
        "errors": [{"row": <number or null>, "feature": "<name>" or null, "problem": "<text>"}, ...],
        "request_id": "<as in the header X-Request-ID>"
    }

`assert_problem` checks it, and that the client learns nothing internal. Below /v2 the shape is {"error": "<detail>"}.
`FAILURES` are requests that fail, `RESPONSES` all errors with their statuses.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from app.api.error_responses import render
from app.api.errors import BodyTooLarge, FileInForm, UnsupportedCharset, UnsupportedContentType
from app.datasets.errors import DatasetInUse, DatasetNotFound, DatasetTooLarge, InvalidDataset, StorageFull
from app.errors import (
    DeadlinePassed,
    InternalServerError,
    InvalidInput,
    MalformedBody,
    Outcome,
    Problem,
    ReceiptKeyUnavailable,
    ServingError,
    StoreUnavailable,
    TooManyBytesHeld,
    TooManyInFlight,
    TooManyStreams,
)
from app.feedback.errors import NotBetter, TooManyLabels
from app.inference.errors import RowQueueFull, TooManyExplained, TooManyRows
from app.jobs.errors import (
    IdempotencyKeyReused,
    JobConflict,
    JobEnded,
    JobNotFound,
    QueueFull,
    RecipeNotFound,
    RepositoryReadOnly,
)
from app.jobs.tablefile import DATABASE_FILE
from app.main import create_app
from app.registry.errors import (
    ModelNotFound,
    ModelNotReady,
    NotComparable,
    NotShadow,
    PictureNotFound,
    TooManyLoads,
    UnfitShadow,
    VersionInUse,
    VersionNotFound,
)
from app.runtime.errors import DeviceLost, VersionRefused
from app.security.errors import (
    AuditUnavailable,
    CrossOrigin,
    EncodedBody,
    HeadTooLarge,
    HostNotServed,
    KeyNotAccepted,
    MalformedRequest,
    MethodNotAllowed,
    NotAuthenticated,
    RateLimited,
    ReceiveTimeout,
    RouteNotFound,
    ScopeMissing,
)
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask_at_once
from tests.app.broken import POISON, Logits, RaisesLater, damage, publish_as_means
from tests.app.problems import SECRET, assert_problem, every_error
from tests.fakes import publish
from tests.processes import PROJECT

JSON = {"content-type": "application/json"}
GOOD = b'{"instances": [[0.5, 0.5]]}'


@dataclass(frozen=True)
class Failure:
    status: int
    kind: str
    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"


FAILURES = {
    "no such route": Failure(404, "not-found", "GET", f"/{SECRET}"),
    "no such page asset": Failure(404, "not-found", "GET", f"/docs/{SECRET}.js"),
    "no such method": Failure(405, "method-not-allowed", "DELETE", "/models"),
    "made-up method": Failure(405, "method-not-allowed", SECRET.upper(), "/predict/means"),
    "model in the path": Failure(404, "model-not-found", "POST", f"/predict/{SECRET}", GOOD),
    "model in the body": Failure(
        404, "model-not-found", "POST", "/predict", b'{"instances": [[1, 2]], "model": "%s"}' % SECRET.encode()
    ),
    "model shown": Failure(404, "model-not-found", "GET", f"/models/{SECRET}"),
    "version in the path": Failure(404, "version-not-found", "POST", "/predict/means/versions/77", GOOD),
    "version in the body": Failure(
        404, "version-not-found", "POST", "/predict/means", b'{"instances": [[1, 2]], "version": 77}'
    ),
    "version shown": Failure(404, "version-not-found", "GET", "/models/means/versions/77"),
    "version below one": Failure(404, "version-not-found", "GET", "/models/means/versions/-1"),
    "version activated": Failure(404, "version-not-found", "POST", "/models/means/versions/77/activate"),
    "version of an unknown model": Failure(404, "model-not-found", "POST", f"/models/{SECRET}/versions/1/activate"),
    "version is a word": Failure(422, "invalid-input", "GET", f"/models/means/versions/{SECRET}"),
    "version is a word, predicting": Failure(422, "invalid-input", "POST", f"/predict/means/versions/{SECRET}", GOOD),
    "version has many digits": Failure(422, "invalid-input", "GET", "/models/means/versions/" + "9" * 5000),
    "version named twice": Failure(
        422, "invalid-input", "POST", "/predict/means/versions/1", b'{"instances": [[1, 2]], "version": 2}'
    ),
    "job": Failure(404, "job-not-found", "GET", f"/train/{SECRET}"),
    "job limit": Failure(422, "invalid-input", "GET", f"/train?limit={SECRET}"),
    "recipe": Failure(404, "recipe-not-found", "POST", "/train", b'{"model": "%s"}' % SECRET.encode()),
    "recipe that is a path": Failure(
        422, "invalid-input", "POST", "/train", b'{"model": "../../%s"}' % SECRET.encode()
    ),
    "training, not JSON": Failure(400, "malformed-body", "POST", "/train", b"{" + SECRET.encode()),
    "training, empty": Failure(400, "malformed-body", "POST", "/train", b""),
    "training, field unknown": Failure(
        422, "invalid-input", "POST", "/train", b'{"model": "iris", "%s": 1}' % SECRET.encode()
    ),
    "training, content type": Failure(
        415, "unsupported-content-type", "POST", "/train", b'{"model": "iris"}', f"text/{SECRET}"
    ),
    "rows, not JSON": Failure(400, "malformed-body", "POST", "/predict/means", SECRET.encode()),
    "rows, cut off": Failure(
        400, "malformed-body", "POST", "/predict/means", b'{"instances": [["%s"' % SECRET.encode()
    ),
    "rows, empty": Failure(400, "malformed-body", "POST", "/predict/means", b""),
    "rows, too wide": Failure(422, "invalid-input", "POST", "/predict/means", b'{"instances": [[1, 2, 3]]}'),
    "rows, text": Failure(
        422, "invalid-input", "POST", "/predict/means", b'{"instances": [[1, "%s"]]}' % SECRET.encode()
    ),
    "rows, NaN": Failure(422, "invalid-input", "POST", "/predict/means", b'{"instances": [[1, NaN]]}'),
    "rows, none": Failure(422, "invalid-input", "POST", "/predict/means", b'{"instances": []}'),
    "rows, content type": Failure(
        415, "unsupported-content-type", "POST", "/predict/means", GOOD, f"application/{SECRET}"
    ),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_every_failure_has_the_one_shape(steady: TestClient, failure: Failure) -> None:
    answer = steady.request(
        failure.method, failure.path, content=failure.body, headers={"content-type": failure.content_type}
    )

    document = assert_problem(answer, failure.status)
    assert document["type"] == f"urn:tabserve:problem:{failure.kind}"


def test_ten_problems_are_listed_of_many(steady: TestClient) -> None:
    answer = steady.post("/predict/means", json={"instances": [["a", "b"]] * 40})

    assert len(assert_problem(answer, 422)["errors"]) == 10


@pytest.mark.parametrize("path", ["/predict/means", "/predict", "/train"])
@pytest.mark.parametrize("streamed", [False, True], ids=["declared", "streamed"])
def test_too_large_body_is_refused_with_limit_and_setting(narrow: TestClient, path: str, streamed: bool) -> None:
    body = GOOD.ljust(1025)
    content = iter((body[:1000], body[1000:])) if streamed else body

    answer = narrow.post(path, content=content, headers=JSON)

    assert ("content-length" in answer.request.headers) != streamed
    document = assert_problem(answer, 413)
    assert "1024 bytes (TABSERVE_MAX_BODY_BYTES)" in document["detail"]
    assert document["type"] == "urn:tabserve:problem:body-too-large"


def test_full_queue_is_told_with_the_limit_and_when_to_try_again(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository)
    app = create_app(settings.model_copy(update={"max_queue_rows": 3}))
    with TestClient(app) as client:
        assert client.portal is not None
        exchanges = client.portal.call(ask_at_once, app, "/predict/means", [GOOD] * 5)
        after = client.post("/predict/means", content=GOOD, headers=JSON)

    assert [exchange.status for exchange in exchanges] == [200, 200, 200, 429, 429]
    refused = exchanges[-1]
    document = assert_problem(httpx2.Response(429, headers=refused.headers, content=refused.body), 429)
    assert document["type"] == "urn:tabserve:problem:overloaded"
    assert "at most 3 rows" in document["detail"]
    assert after.status_code == 200


def test_content_length_that_is_no_number_is_the_clients_mistake(steady: TestClient) -> None:
    answer = steady.post("/predict/means", content=GOOD, headers={**JSON, "content-length": SECRET})

    assert_problem(answer, 400)


def test_model_without_a_good_version_is_not_ready(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    damage(repository, 1)

    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        document = assert_problem(client.post("/predict/means", content=GOOD, headers=JSON), 503)

    assert document["type"] == "urn:tabserve:problem:model-not-ready"
    assert "integrity_sha256" in document["detail"]


@pytest.mark.parametrize(
    "path", ["/models/means/versions/2/activate", "/predict/means/versions/2"], ids=["activated", "asked for"]
)
def test_refused_version_is_a_conflict_with_the_reason(
    client: TestClient, repository: ModelRepository, path: str
) -> None:
    publish_as_means(repository, Logits(2, 0.0), activate=False)

    document = assert_problem(client.post(path, content=GOOD, headers=JSON), 409)

    assert document["type"] == "urn:tabserve:problem:version-refused"
    assert "means version 2 was refused (contract_sum)" in document["detail"]


def test_store_that_cannot_be_written_is_told_and_what_serves_keeps_serving(
    client: TestClient, repository: ModelRepository
) -> None:
    publish(repository, shift=0.5, activate=False)
    lock = repository.root / "means" / ".lock"
    lock.unlink()
    lock.mkdir()  # what root, too, cannot open for writing

    document = assert_problem(client.post("/models/means/versions/2/activate"), 503)

    assert document["type"] == "urn:tabserve:problem:store-unavailable"
    assert client.post("/predict/means", content=GOOD, headers=JSON).json()["version"] == 1


@pytest.mark.parametrize(("method", "path"), [("POST", "/train"), ("GET", "/train"), ("GET", "/train/1")])
def test_state_folder_that_cannot_be_made_stops_trainings_only(
    settings: Settings, repository: ModelRepository, tmp_path: Path, method: str, path: str
) -> None:
    publish(repository)
    (tmp_path / "file").touch()
    changed = {"state_dir": tmp_path / "file" / "state", "audit_file": tmp_path / "audit.jsonl"}
    app = create_app(settings.model_copy(update=changed))

    with TestClient(app, raise_server_exceptions=False) as client:
        document = assert_problem(client.request(method, path, json={"model": "iris"}), 503)
        prediction = client.post("/predict/means", content=GOOD, headers=JSON)

    assert document["type"] == "urn:tabserve:problem:store-unavailable"
    assert prediction.status_code == 200


def test_job_table_that_is_lost_while_serving_stops_trainings_only(client: TestClient, settings: Settings) -> None:
    assert client.get("/train").status_code == 200  # the table is made when it is first asked for
    with sqlite3.connect(settings.state_dir / DATABASE_FILE) as connection:
        connection.execute("DROP TABLE jobs")
    connection.close()

    assert_problem(client.get("/train"), 503)
    assert_problem(client.post("/train", json={"model": "iris"}), 503)
    assert client.post("/predict/means", content=GOOD, headers=JSON).status_code == 200


def test_store_that_vanishes_makes_its_models_unknown(client: TestClient, repository: ModelRepository) -> None:
    shutil.rmtree(repository.root)

    answer = client.get("/models/means/versions/1")

    assert_problem(answer, 404)


def test_internal_error_says_nothing_but_the_request_id(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish_as_means(repository, RaisesLater(2, 0.0))

    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        answer = client.post("/predict/means", json={"instances": [[2 * POISON, 0.5]]})
        after = client.post("/predict/means", content=GOOD, headers=JSON)

    document = assert_problem(answer, 500)
    assert document["detail"] == "internal error; the log has it under the request id"
    logged = [vars(record).get("request_id") for record in caplog.records if record.exc_info]
    assert logged == [document["request_id"]]
    assert after.status_code == 200


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "f" * 64])
@pytest.mark.parametrize("path", ["/livez", "/nowhere"])
def test_harmless_request_id_is_kept(steady: TestClient, given: str, path: str) -> None:
    answer = steady.get(path, headers={"x-request-id": given})

    assert answer.headers["x-request-id"] == given
    assert answer.status_code == 200 or assert_problem(answer, 404)["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"f" * 65,
        b"a b",
        b'a"b',
        b"a\r\nset-cookie: x=1",
        b"a\n",
        "fröhlich".encode(),
        "١٢".encode(),
        b"\xff",
        b"a;b",
    ],
)
def test_other_request_id_is_replaced(steady: TestClient, given: bytes) -> None:
    answers = [steady.get("/nowhere", headers=[(b"x-request-id", given)]) for _ in range(2)]

    ids = [str(assert_problem(answer, 404)["request_id"]) for answer in answers]
    assert ids[0] != ids[1]
    assert all(one.isalnum() and one.isascii() and len(one) == 16 for one in ids)
    assert "set-cookie" not in answers[0].headers


PROBLEMS = (Problem(0, "left", "is no number"), Problem(None, "right", "is missing"))
SOON = {"retry-after": "1"}

# Error, type, status, status below /v2, headers, outcome.
RESPONSES: tuple[tuple[ServingError, str, int, int, dict[str, str], Outcome], ...] = (
    (InternalServerError(), "internal-server-error", 500, 500, {}, "error"),
    (MalformedBody("cut off"), "malformed-body", 400, 400, {}, "client_error"),
    (InvalidInput("row 0: no", PROBLEMS), "invalid-input", 422, 400, {}, "client_error"),
    (InvalidDataset("line 1: no", PROBLEMS), "invalid-dataset", 422, 400, {}, "client_error"),
    (IdempotencyKeyReused(), "idempotency-key-reused", 422, 400, {}, "client_error"),
    (BodyTooLarge(7), "body-too-large", 413, 413, {}, "client_error"),
    (DatasetTooLarge(7), "dataset-too-large", 413, 413, {}, "client_error"),
    (TooManyExplained(3, "iris version 1", 512, 2000), "too-many-explained", 413, 413, {}, "client_error"),
    (TooManyLabels(7), "too-many-labels", 413, 413, {}, "client_error"),
    (TooManyRows(7), "too-many-rows", 413, 413, {}, "client_error"),
    (UnsupportedContentType(("a/b",)), "unsupported-content-type", 415, 415, {}, "client_error"),
    (UnsupportedCharset(), "unsupported-charset", 415, 415, {}, "client_error"),
    (FileInForm(), "file-in-form", 415, 415, {}, "client_error"),
    (EncodedBody(), "encoded-body", 415, 415, {}, "client_error"),
    (MalformedRequest("twice"), "malformed-request", 400, 400, {}, "client_error"),
    (NotAuthenticated(), "not-authenticated", 401, 401, {"www-authenticate": "Bearer"}, "client_error"),
    (KeyNotAccepted(), "key-not-accepted", 401, 401, {"www-authenticate": "Bearer"}, "client_error"),
    (ScopeMissing("predict", "k"), "scope-missing", 403, 403, {}, "client_error"),
    (CrossOrigin(), "cross-origin", 403, 403, {}, "client_error"),
    (MethodNotAllowed(("GET", "HEAD")), "method-not-allowed", 405, 405, {"allow": "GET, HEAD"}, "client_error"),
    (ReceiveTimeout(), "receive-timeout", 408, 408, {}, "client_error"),
    (HostNotServed(), "host-not-served", 421, 421, {}, "client_error"),
    (HeadTooLarge(9, 8), "head-too-large", 431, 431, {}, "client_error"),
    (RouteNotFound(), "not-found", 404, 404, {}, "client_error"),
    (ModelNotFound(("means",)), "model-not-found", 404, 404, {}, "client_error"),
    (PictureNotFound("means", 1, ("loss",)), "picture-not-found", 404, 404, {}, "client_error"),
    (VersionNotFound("means", (1, 2)), "version-not-found", 404, 404, {}, "client_error"),
    (DatasetNotFound(), "dataset-not-found", 404, 404, {}, "client_error"),
    (JobNotFound(), "job-not-found", 404, 404, {}, "client_error"),
    (RecipeNotFound(("iris",)), "recipe-not-found", 404, 404, {}, "client_error"),
    (VersionRefused("means", 2, "golden_mismatch", "row 3"), "version-refused", 409, 503, {}, "error"),
    (VersionInUse("means", 1), "version-in-use", 409, 503, {}, "client_error"),
    (NotComparable("no rows in common"), "not-comparable", 409, 503, {}, "client_error"),
    (UnfitShadow("means", 2, "it is the active version"), "unfit-shadow", 409, 503, {}, "client_error"),
    (NotShadow("means", 2, None), "not-shadow", 409, 503, {}, "client_error"),
    (NotBetter("means", 2, "no pairs"), "not-better", 409, 503, {}, "client_error"),
    (DatasetInUse("flowers"), "dataset-in-use", 409, 503, {}, "client_error"),
    (JobConflict("j1"), "job-conflict", 409, 503, {}, "client_error"),
    (JobEnded("j1"), "job-ended", 409, 503, {}, "client_error"),
    (RowQueueFull(3), "overloaded", 429, 429, SOON, "rejected"),
    (TooManyLoads(), "too-many-loads", 429, 429, SOON, "rejected"),
    (QueueFull(5), "queue-full", 429, 429, SOON, "rejected"),
    (RateLimited(2.3), "rate-limited", 429, 429, {"retry-after": "3"}, "rejected"),
    (TooManyInFlight(3), "too-many-in-flight", 503, 503, SOON, "rejected"),
    (TooManyBytesHeld(3), "too-many-bytes-held", 503, 503, SOON, "rejected"),
    (TooManyStreams("uploads", 4), "too-many-streams", 503, 503, SOON, "rejected"),
    (StoreUnavailable("no store"), "store-unavailable", 503, 503, SOON, "error"),
    (ReceiptKeyUnavailable("no such folder"), "receipt-key-unavailable", 503, 503, SOON, "error"),
    (AuditUnavailable(), "audit-unavailable", 503, 503, SOON, "error"),
    (RepositoryReadOnly(), "repository-read-only", 503, 503, SOON, "error"),
    (ModelNotReady("means", "it is being loaded"), "model-not-ready", 503, 503, SOON, "error"),
    (DeviceLost(), "device-lost", 503, 503, SOON, "error"),
    (DeadlinePassed(), "deadline-passed", 504, 504, {}, "timeout"),
    (StorageFull(), "storage-full", 507, 507, {"retry-after": "60"}, "error"),
)


@pytest.mark.parametrize(
    ("error", "kind", "status", "status_in_oip", "headers", "outcome"), RESPONSES, ids=[row[1] for row in RESPONSES]
)
def test_every_error_has_its_response_in_both_formats(
    error: ServingError, kind: str, status: int, status_in_oip: int, headers: dict[str, str], outcome: Outcome
) -> None:
    native, oip = render(error, "abc", "/predict/means"), render(error, "abc", "/v2/models/means/infer")

    problem = {
        "type": f"urn:tabserve:problem:{kind}",
        "title": error.status.phrase,
        "status": status,
        "detail": str(error),
        "errors": [{"row": p.row, "feature": p.feature, "problem": p.problem} for p in error.problems],
        "request_id": "abc",
    }
    assert native[0] == status
    assert native[1] == json.dumps(problem, separators=(",", ":")).encode() + b"\n"
    assert plain(native[2]) == {"content-type": "application/problem+json", **headers}
    assert oip[0] == status_in_oip
    assert oip[1] == json.dumps({"error": str(error)}, separators=(",", ":")).encode()
    retry = SOON if status == 409 else {}  # in the protocol, it is not ready
    assert plain(oip[2]) == {"content-type": "application/json", **headers, **retry}
    assert error.outcome == outcome


def plain(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def test_every_error_that_is_raised_has_a_row_of_its_own() -> None:
    never_raised = {"ServingError", "BadRequest", "NotFound", "Conflict", "Overloaded", "Unavailable"}
    never_raised |= {"TooLarge", "UnsupportedMediaType", "AccessDenied"}

    named = [type(row[0]).__name__ for row in RESPONSES]
    assert sorted([*named, *never_raised]) == sorted(error.__name__ for error in every_error())


def test_every_type_of_error_is_in_the_documentation() -> None:
    section = (PROJECT / "docs" / "api.md").read_text("utf-8").partition("## Errors")[2]

    documented = {
        (kind, int(status))
        for status, kinds in re.findall(r"^\| (\d{3}) \| ((?:`[a-z-]+`(?:, )?)+) \|", section, re.MULTILINE)
        for kind in re.findall(r"[a-z-]+", kinds)
    }
    assert documented == {(kind, status) for _, kind, status, *_ in RESPONSES}


@pytest.mark.parametrize("path", ["", "/predict/means", "/v2x", "/v2/models/means/infer"])
def test_an_unexpected_exception_is_rendered_as_an_internal_error(path: str) -> None:
    assert render(RuntimeError(SECRET), "abc", path) == render(InternalServerError(), "abc", path)
