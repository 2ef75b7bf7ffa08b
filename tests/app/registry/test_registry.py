"""What serves when the store changes, through the real app."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from app.main import create_app
from app.settings import Settings
from modelstore import GateReport, ModelRepository
from tests.app.asgi import Exchange, ask
from tests.app.broken import Logits, damage, publish_as_means
from tests.app.exchange import exchange
from tests.app.registry.questions import predicted, shown
from tests.app.waiting import until
from tests.fakes import publish
from tests.promises import allowed

HELD_BACK = GateReport(policy="if_better", passed=False, reason="not better")
ACTIVATE = "import sys, pathlib, modelstore as m; m.ModelRepository(pathlib.Path(sys.argv[1])).activate('means', 2)"


def serving(settings: Settings) -> tuple[int | None, str | None]:
    """Start the service, and return the version that serves and what is said about it."""
    with TestClient(create_app(settings)) as client:
        return shown(client)["serving_version"], shown(client)["reason"]


def test_at_start_the_newest_good_version_stands_in_for_a_broken_active_one(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository)
    publish(repository, activate=False)
    publish(repository)
    damage(repository, 3)

    assert serving(settings) == (2, "integrity_sha256: model.pt is not the file that was published")


def test_a_broken_stand_in_is_passed_over(settings: Settings, repository: ModelRepository) -> None:
    for _ in range(3):
        publish(repository)
    damage(repository, 3)
    damage(repository, 2)

    assert serving(settings)[0] == 1


def test_a_version_that_a_gate_held_back_stands_in_last(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    publish(repository, activate=False, gate=HELD_BACK)
    publish(repository)
    damage(repository, 3)

    assert serving(settings)[0] == 1


def test_a_version_that_a_gate_held_back_is_better_than_none(settings: Settings, repository: ModelRepository) -> None:
    publish(repository, activate=False, gate=HELD_BACK)
    publish(repository)
    damage(repository, 2)

    assert serving(settings)[0] == 1


def test_without_an_active_version_the_newest_serves_and_it_is_said(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository, activate=False)
    publish(repository, activate=False)

    assert serving(settings) == (2, None)


def test_first_version_that_the_gate_refused_answers_and_it_is_said_and_the_service_is_well(
    settings: Settings, repository: ModelRepository
) -> None:
    """It was "not active", answered all the same, and made the service `degraded`."""
    publish(repository, activate=False, gate=HELD_BACK)
    with TestClient(create_app(settings)) as client:
        assert predicted(client).json()["version"] == 1
        (listed,) = client.get("/models").json()["models"]
        said = "no version is active, so version 1 answers until one is activated; its gate said: not better"
        assert (listed["state"], listed["active_version"], listed["serving_version"]) == ("ready", None, 1)
        assert listed["warnings"] == shown(client)["warnings"] == [said]
        assert client.get("/health").json()["status"] == "ok"
        for path in ("/readyz", "/v2/health/ready", "/v2/models/means/ready", "/v2/models/means/versions/1/ready"):
            assert client.get(path).status_code == 200, path

        assert client.post("/models/means/versions/1/activate").json()["warnings"] == []


def test_model_that_an_address_hides_is_served_and_it_is_said(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """A store may have a model of a reserved name from before, or from elsewhere."""
    publish(repository, "stat")
    (repository.root / "stat").rename(repository.root / "stats")
    manifest = repository.root / "stats" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "stat"', '"name": "stats"'))

    with TestClient(create_app(settings)) as client:
        assert predicted(client, "/predict/stats").status_code == 200
        (warning,) = shown(client, "stats")["warnings"]
        assert warning.startswith("GET /v2/models/stats shows the statistics of all models instead")

    assert len([record for record in caplog.records if "the model stats" in record.getMessage()]) == 1


def test_broken_model_leaves_the_others_served(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    damage(repository, 1)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))

    with TestClient(create_app(settings)) as client:
        assert client.post("/predict/thirds", json={"instances": [[0, 0, 0]]}).status_code == 200


def test_refused_version_is_tried_again_when_its_files_are_replaced_by_whole_ones(
    client: TestClient, repository: ModelRepository
) -> None:
    publish(repository, shift=0.5, activate=False)
    model = repository.find("means", 2).path / "model.pt"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    repository.activate("means", 2)
    until(lambda: (shown(client)["reason"] or "").startswith("integrity_size"), "the damage is noticed")

    model.write_bytes(whole)

    until(lambda: shown(client)["serving_version"] == 2, "the whole file is tried")
    assert (shown(client)["state"], predicted(client).json()["version"]) == ("ready", 2)


def test_refused_version_is_not_tried_again_while_its_files_stay(
    client: TestClient, repository: ModelRepository, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    publish_as_means(repository, Logits(2, 0.0))
    until(lambda: shown(client)["state"] == "degraded", "the broken version is noticed")
    publish(repository, "later")
    until(lambda: client.get("/models/later").status_code == 200, "the store is looked at once more")

    assert len([record for record in caplog.records if "means version 2 was refused" in record.getMessage()]) == 1


class Asking(threading.Thread):
    """Predicts over and over, and keeps every answer."""

    def __init__(self, client: TestClient) -> None:
        super().__init__()
        self._client = client
        self._enough = threading.Event()
        self.answers: list[Any] = []

    def run(self) -> None:
        rows = [[n / 128, n / 128] for n in range(64)]
        while not self._enough.is_set():
            self.answers.append(self._client.post("/predict/means", json={"instances": rows}))

    def stop(self) -> None:
        self._enough.set()
        self.join()


def highs(answer: Any) -> tuple[float, ...]:
    return tuple(row["probabilities"]["high"] for row in answer.json()["predictions"])


@pytest.mark.slow
def test_version_activated_by_another_process_serves_within_two_seconds_and_no_request_fails(
    client: TestClient, repository: ModelRepository
) -> None:
    publish(repository, shift=0.5, activate=False)
    asking = Asking(client)
    asking.start()
    try:
        until(lambda: len(asking.answers) > 5, "requests are answered")
        subprocess.run([sys.executable, "-c", ACTIVATE, str(repository.root)], check=True)
        activated = time.monotonic()
        until(lambda: asking.answers[-1].status_code != 200 or asking.answers[-1].json()["version"] == 2, "version 2")
        waited_s = time.monotonic() - activated
        enough = len(asking.answers) + 5
        until(lambda: len(asking.answers) > enough, "more requests are answered")
    finally:
        asking.stop()

    assert waited_s < allowed(2)
    assert {answer.status_code for answer in asking.answers} == {200}
    expected = {1: tuple(n / 128 for n in range(64)), 2: tuple(0.5 + n / 128 for n in range(64))}
    assert all(highs(answer) == expected[answer.json()["version"]] for answer in asking.answers)
    versions = [answer.json()["version"] for answer in asking.answers]
    assert versions == sorted(versions)


def test_version_removed_from_the_store_serves_until_another_is_activated(
    client: TestClient, repository: ModelRepository
) -> None:
    publish(repository, shift=0.5, activate=False)  # first, for a model without versions leaves the store
    shutil.rmtree(repository.find("means", 1).path)
    until(lambda: shown(client)["versions"] == [2], "the folder is gone")
    assert predicted(client).json()["version"] == 1

    repository.activate("means", 2)

    until(lambda: predicted(client).json()["version"] == 2, "the other one serves")


def test_stray_files_and_folders_in_the_store_do_no_harm(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    (repository.root / "notes.txt").write_text("not a model")
    (repository.root / "empty").mkdir()
    (repository.root / "means" / ".staging-abc").mkdir()
    (repository.root / "means" / "02").mkdir()

    with TestClient(create_app(settings)) as client:
        assert [(model["name"], model["versions"]) for model in client.get("/models").json()["models"]] == [
            ("means", [1])
        ]


def refusals(caplog: pytest.LogCaptureFixture, version: int) -> int:
    """Return how often a version was tried and refused."""
    return sum(f"means version {version} was refused" in record.getMessage() for record in caplog.records)


def test_version_that_was_refused_by_number_is_not_tried_again_while_its_files_stay(
    client: TestClient, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish(repository, shift=0.5, activate=False)
    model = repository.find("means", 2).path / "model.pt"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])

    answers = [predicted(client, "/predict/means/versions/2") for _ in range(5)]

    assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {
        (409, "urn:tabserve:problem:version-refused")
    }
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert refusals(caplog, 2) == 1
    assert client.get("/models/means/versions/2").json()["state"] == "refused"
    assert shown(client)["state"] == "ready"

    model.write_bytes(whole)
    assert predicted(client, "/predict/means/versions/2").json()["version"] == 2
    assert client.get("/models/means/versions/2").json()["state"] == "stored"


def test_version_that_was_refused_when_it_was_to_serve_is_not_tried_again_by_number(
    client: TestClient, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish_as_means(repository, Logits(2, 0.0))
    until(lambda: shown(client)["state"] == "degraded", "the broken version is noticed")

    assert predicted(client, "/predict/means/versions/2").status_code == 409
    assert refusals(caplog, 2) == 1


async def each_version_at_once(app: ASGIApp, versions: Iterable[int]) -> list[Exchange]:
    """Ask for predictions of these versions in the same turn of the event loop."""
    body = b'{"instances": [[0.25, 0.75]]}'
    return await asyncio.gather(*(ask(app, f"/predict/means/versions/{version}", (body,)) for version in versions))


@pytest.mark.slow
def test_more_versions_asked_for_at_once_than_may_wait_are_answered_429(
    settings: Settings, repository: ModelRepository
) -> None:
    for _ in range(30):
        publish(repository)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert client.portal is not None
        answers = client.portal.call(each_version_at_once, client.app, range(1, 30))
        refused = [answer for answer in answers if answer.status != 200]

        assert refused
        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
        assert {json.loads(answer.body)["type"] for answer in refused} == {"urn:tabserve:problem:too-many-loads"}
        assert predicted(client, "/predict/means/versions/99").status_code == 404


def test_folder_of_a_model_that_cannot_be_listed_hides_no_other_model(
    client: TestClient, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """What serves goes on. A link to itself is what not even root can list."""
    place, said = repository.root / "means", "the folder of model means cannot be read"
    loop = repository.root / ".loop"
    loop.symlink_to(place)
    exchange(loop, place)
    publish(repository, "zeros")
    until(lambda: shown(client, "zeros").get("active_version") == 1, "the other model is found")
    until(lambda: said in caplog.text, "the trouble is noticed")

    assert predicted(client).status_code == 200
    warned = {"means": ["its folder in the store cannot be listed now"], "thirds": [], "zeros": []}
    until(
        lambda: {model["name"]: model["warnings"] for model in client.get("/models").json()["models"]} == warned,
        "it is shown, too",
    )
    index = client.post("/v2/repository/index").json()
    assert [(entry["name"], entry["state"]) for entry in index] == [(name, "READY") for name in warned]
    for path in ("/models/means/versions", "/models/means/versions/1", "/v2/models/means"):
        assert client.get(path).status_code == 503, path

    publish(repository, "zeros", shift=0.5)
    until(lambda: predicted(client, "/predict/zeros").json()["version"] == 2, "the store is looked at again")
    assert caplog.text.count(said) == 1
    assert "Traceback" not in caplog.text


def test_service_starts_beside_a_folder_that_cannot_be_listed(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish(repository)
    (repository.root / "loop").symlink_to(repository.root / "loop")

    with TestClient(create_app(settings)) as client:
        assert predicted(client).status_code == 200

    assert "the folder of model loop cannot be read" in caplog.text
