"""A change is on record before it is done and before it is answered, or not done (D-13)."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator, MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.exchange import Exchange
from app.context import RequestContext
from app.errors import DeadlinePassed
from app.main import create_app
from app.security.audit.requests import Auditor
from app.security.audit.trail import AuditTrail
from app.security.audit.verification import verify
from app.security.audit.watch import Watch
from app.security.keys import KeyFile, Scope
from app.security.permissions import ROUTES
from app.settings import Settings
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository
from tests.app.security.audit.files import records
from tests.app.waiting import until
from tests.fakes import publish

CSV = {"content-type": "text/csv"}
DATA = b"age,visits,churned\n" + b"34,2,no\n51,0,yes\n" * 20


def with_keys(settings: Settings) -> TestClient:
    """Return a client of a service with a key file, and with a key for everything."""
    file = KeyFile(settings.state_dir / "keys.json")
    settings.state_dir.mkdir()
    headers = {"authorization": f"Bearer {file.create(frozenset(Scope), None, '')}"}
    app = create_app(settings.model_copy(update={"keys_file": file.path}))
    return TestClient(app, headers=headers, raise_server_exceptions=False)


@pytest.fixture
def operator(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client that may do everything; `means` has versions 1 and 2."""
    publish(repository)
    publish(repository)
    with with_keys(settings) as client:
        yield client


def test_everything_that_changes_something_has_a_name_on_record() -> None:
    changing = {route for route in ROUTES if route.scope in (Scope.TRAIN, Scope.ADMIN) and route.method != "GET"}

    assert changing == {route for route in ROUTES if route.action is not None}
    assert len(changing) == len({route.action for route in changing})


def test_activation_is_on_record_with_who_what_and_how_it_ended(operator: TestClient, path: Path) -> None:
    answer = operator.post("/models/means/versions/1/activate", headers={"x-request-id": "of-mine"})
    key_id = operator.headers["authorization"].split("_")[1]
    digest = operator.get("/models/means/versions/1").json()["sha256"]

    asked, ended = records(path, "model.activate")

    assert answer.status_code == 200
    for record in (asked, ended):
        assert (record["request_id"], record["key"], record["scope"]) == ("of-mine", key_id, "admin")
        assert (record["model"], record["version"], record["sha256"]) == ("means", 1, digest)
        assert record["peer"] == "testclient"
        assert record["monotonic_s"] > 0
    assert asked["outcome"] == "asked"
    assert (ended["outcome"], ended["status"]) == ("ok", 200)
    assert verify([path]).records > 2


def test_end_of_what_was_asked_for_is_unknown_if_its_deadline_passed_meanwhile(
    operator: TestClient, path: Path
) -> None:
    answer = operator.post("/models/means/versions/1/activate", headers={"x-request-timeout-ms": "1"})  # loading: 50 ms

    ended = records(path, "model.activate")[1]

    assert answer.status_code == 504
    assert (ended["outcome"], ended["status"], ended["reason"]) == ("unknown", 504, "deadline-passed")


@pytest.mark.slow
def test_data_sets_and_trainings_are_on_record_with_hash_and_job(operator: TestClient, path: Path) -> None:
    sha256 = operator.put("/datasets/churn", content=DATA, headers=CSV).json()["sha256"]
    job = operator.post("/train", json={"model": "churn", "dataset": "churn", "target": "churned"}).json()["id"]
    operator.delete(f"/train/{job}")
    operator.delete("/datasets/none")

    put = records(path, "dataset.put")[1]
    assert (put["dataset"], put["sha256"], put["status"], put["outcome"]) == ("churn", sha256, 201, "ok")
    submitted = records(path, "train.submit")[1]
    assert (submitted["model"], submitted["dataset"], submitted["job"]) == ("churn", "churn", job)
    assert submitted["data_sha256"] == sha256
    assert records(path, "train.cancel")[1]["job"] == job
    refused = records(path, "dataset.delete")[1]
    assert (refused["outcome"], refused["status"], refused["reason"]) == ("refused", 404, "dataset-not-found")


def test_start_stop_and_what_serves_are_on_record(settings: Settings, repository: ModelRepository, path: Path) -> None:
    publish(repository)
    with TestClient(create_app(settings)):
        until(lambda: records(path, "model.swapped") or None, "what serves is on record")
    (swapped,) = records(path, "model.swapped")

    assert (swapped["model"], swapped["version"], "version_before" in swapped) == ("means", 1, False)
    assert [records(path, f"service.{what}")[0]["outcome"] for what in ("start", "stop")] == ["ok", "ok"]


def broken(path: Path) -> None:
    """Let nobody write the audit file, whoever they are."""
    path.rename(path.with_suffix(".away"))
    path.mkdir()


def test_what_cannot_be_put_on_record_is_not_done_and_predictions_go_on(operator: TestClient, path: Path) -> None:
    until(lambda: records(path, "model.swapped") or None, "the start is on record")
    broken(path)

    for answer in (
        operator.post("/models/means/versions/1/activate"),
        operator.put("/datasets/churn", content=DATA, headers=CSV),
        operator.post("/train", json={"model": "iris"}),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["type"] == "urn:tabserve:problem:audit-unavailable"

    assert operator.get("/models/means").json()["active_version"] == 2
    assert operator.get("/datasets").json() == {"datasets": []}
    assert operator.get("/train").json()["jobs"] == []
    assert operator.post("/predict/means", json={"instances": [[0.25, 0.75]]}).status_code == 200

    path.rmdir()
    path.with_suffix(".away").rename(path)
    assert operator.post("/models/means/versions/1/activate").status_code == 200
    until(  # the service may write another record between the two looks
        lambda: verify([path]).records == len(path.read_bytes().splitlines()), "all are in the chain"
    )


def test_deadline_that_passes_while_the_end_is_put_on_record_is_answered(path: Path) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def main() -> None:
        trail = AuditTrail(path)
        auditor = Auditor(trail, Watch(trail, tuple, lambda: (0, True)), lambda _model, _version: None)
        exchange = Exchange(RequestContext("a"), "/datasets/churn", send, [], Flight(ServingMetrics(), 1))
        await exchange.begin_audit(auditor, "dataset.put", {"name": "churn"}, {})
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)  # as a process that is suspended while it writes
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await exchange.answer(HTTPStatus.CREATED, b"{}", [])
            await exchange.fail(DeadlinePassed())
        await trail.close()

    asyncio.run(main())

    assert [message.get("status") for message in sent] == [504, None]
    assert [record["outcome"] for record in records(path, "dataset.put")] == ["asked", "ok"]


def test_what_was_done_is_answered_as_it_ended_even_if_its_end_cannot_be_put_on_record(tmp_path: Path) -> None:
    path, sent = tmp_path / "audit.jsonl", []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def main() -> None:
        trail = AuditTrail(path)
        auditor = Auditor(trail, Watch(trail, tuple, lambda: (0, True)), lambda _model, _version: None)
        audited = await auditor.begin("dataset.put", send, {"name": "churn"}, {"request_id": "a"})
        broken(path)
        await audited({"type": "http.response.start", "status": 201, "headers": []})
        assert sent == []  # nobody is told before it is tried
        await audited({"type": "http.response.body", "body": b""})
        await trail.close()

    asyncio.run(main())

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [record["outcome"] for record in records(path.with_suffix(".away"), "dataset.put")] == ["asked"]


def test_requests_refused_for_their_key_are_counted(settings: Settings, path: Path) -> None:
    with with_keys(settings) as client:
        client.get("/models", headers={"authorization": "Bearer wrong"})
    (failed,) = records(path, "auth.fail")

    assert (failed["reason"], failed["count"], failed["outcome"]) == ("key-not-accepted", 1, "refused")
