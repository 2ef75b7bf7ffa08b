"""Read-only replicas, trainer, both doors and PostgreSQL, as in compose (D-09, D-10)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelstore import ModelRepository
from modelstore.signing import SigningKey
from tests import postgres
from tests.deployed import environment_of, make_secrets, nginx
from tests.fakes import publish
from tests.faults.scenes import mounted
from tests.nameserver import NameServer
from tests.processes import PROJECT, free_port, service
from tests.promises import allowed
from tests.trainings import DEADLINE_S, ended

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres.available(), reason="PostgreSQL is not installed; scripts/packages does it"),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting the store read-only needs root"),
]

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
ROW = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
SWAP_DEADLINE_S = 2.0


@dataclass
class Stack:
    """The running services, and the keys that they accept."""

    folder: Path
    door: httpx.Client
    operator: httpx.Client
    replicas: list[httpx.Client]
    key: dict[str, str]
    metrics_key: dict[str, str]

    def served(self) -> set[int]:
        """Return the versions that the replicas answer with now."""
        return {client.post("/predict/iris", json=ROW).json()["version"] for client in self.replicas}

    def seconds_until_all_serve(self, version: int) -> float:
        """Return how long it takes until every replica answers with a version."""
        began = time.monotonic()
        while self.served() != {version}:
            assert time.monotonic() - began < DEADLINE_S
            time.sleep(0.02)
        return time.monotonic() - began


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key.strip()}"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    secrets, models = folder / "secrets", folder / "models"
    make_secrets(secrets)
    signed = ModelRepository(models, SigningKey.read(secrets / "service" / "signing_key"))
    publish(signed, "iris", features=("a", "b", "c", "d"), classes=("x", "y", "z"))
    (folder / "audit").mkdir()
    (folder / "operator").mkdir()
    port, names = free_port(), NameServer(HOSTS)
    with contextlib.ExitStack() as started:
        database = {"TABSERVE_DATABASE_URL": started.enter_context(postgres.cluster())}
        trains = environment_of("trainer", folder) | database
        trainer, _ = started.enter_context(service(folder, environment=trains, cwd=PROJECT))
        started.enter_context(mounted(folder / "read-only", "-o", "bind,ro", str(models)))
        api = environment_of("api", folder) | database | {"TABSERVE_MODELS_DIR": str(folder / "read-only")}
        replicas = [started.enter_context(service(folder, environment=api, address=(host, port)))[0] for host in HOSTS]
        started.enter_context(names.answering())
        door = started.enter_context(nginx(folder, f"http://api:{port}", resolver=names.address))
        upstream = str(trainer.base_url).rstrip("/")
        operator = started.enter_context(nginx(folder / "operator", upstream, conf="operator.conf"))
        yield Stack(
            folder,
            started.enter_context(httpx.Client(base_url=door, timeout=300)),
            started.enter_context(httpx.Client(base_url=operator, timeout=300)),
            replicas,
            bearer(make_secrets(secrets, "show")),
            bearer((secrets / "prometheus" / "metrics_key").read_text()),
        )


def test_strangers_may_predict_and_nothing_else_at_whatever_they_reach(stack: Stack) -> None:
    for client in (stack.door, stack.operator, *stack.replicas):
        assert client.post("/predict/iris", json=ROW).status_code == 200
    for client in (stack.operator, *stack.replicas):
        assert client.get("/metrics").status_code == 401
        assert client.post("/train", json={"model": "iris"}).status_code == 401
        assert client.post("/models/iris/versions/1/activate").status_code == 401
    assert stack.door.post("/train", json={"model": "iris"}, headers=stack.key).status_code == 404


def test_prometheus_key_reads_figures_and_nothing_else(stack: Stack) -> None:
    for client in (stack.operator, *stack.replicas):
        assert "tabserve_model_info" in client.get("/metrics", headers=stack.metrics_key).text
        assert client.get("/train", headers=stack.metrics_key).status_code == 403


def test_a_training_that_any_replica_accepts_is_run_by_the_trainer_and_served_by_all(stack: Stack) -> None:
    for number, client in enumerate(stack.replicas):
        wanted = {"model": "iris", "overrides": {"hidden": [8], "epochs": 5}, "seed": number, "activate": "always"}
        accepted = client.post("/train", json=wanted, headers=stack.key)
        assert accepted.status_code == 202, accepted.text
        job = ended(client, accepted.headers["location"], headers=stack.key)
        assert (job["status"], job["activated"]) == ("succeeded", True), job
        assert stack.operator.get(accepted.headers["location"], headers=stack.key).json()["version"] == job["version"]

        assert stack.seconds_until_all_serve(job["version"]) < allowed(SWAP_DEADLINE_S)
        assert stack.door.post("/predict/iris", json=ROW).json()["version"] == job["version"]


def test_all_replicas_follow_an_activation_at_the_operators_door(
    stack: Stack, measured: Callable[[str, str], None]
) -> None:
    signed = ModelRepository(stack.folder / "models", SigningKey.read(stack.folder / "secrets/service/signing_key"))
    versions = [publish(signed, "iris", features=tuple("abcd"), classes=tuple("xyz"), activate=False) for _ in range(2)]
    took = []
    for version in versions * 5:
        assert stack.replicas[0].post(f"/models/iris/versions/{version}/activate", headers=stack.key).status_code == 503
        activated = stack.operator.post(f"/models/iris/versions/{version}/activate", headers=stack.key)
        assert activated.json()["serving_version"] == version, activated.text
        took.append(stack.seconds_until_all_serve(version))

    assert max(took) < allowed(SWAP_DEADLINE_S)
    text = (
        f"{len(took)} activations at the trainer: all three replicas served the version after {max(took):.2f} s at most"
    )
    measured("D-10", text)


def test_a_version_that_is_not_signed_serves_nowhere(stack: Stack) -> None:
    before = stack.served()
    unsigned = ModelRepository(stack.folder / "models")
    version = publish(unsigned, "iris", features=tuple("abcd"), classes=tuple("xyz"), activate=False)

    refused = stack.operator.post(f"/models/iris/versions/{version}/activate", headers=stack.key)
    assert 400 <= refused.status_code < 500
    assert "signature" in refused.json()["detail"]
    assert stack.served() == before


def test_logs_are_json_and_one_audit_file_tells_who_did_what(stack: Stack) -> None:
    submitted = stack.replicas[0].post("/train", json={"model": "iris"}, headers=stack.key)
    job = submitted.headers["location"]
    stack.replicas[0].delete(job, headers=stack.key).raise_for_status()
    stack.operator.post("/models/iris/versions/1/activate", headers=stack.key).raise_for_status()
    ended(stack.operator, job, headers=stack.key)

    log = (stack.folder / "service.log").read_text()
    audit = [json.loads(line) for line in (stack.folder / "audit" / "audit.jsonl").read_text().splitlines()]
    identity = stack.key["authorization"].split("_")[1]

    assert [line for line in log.splitlines() if not line.startswith("{")] == []
    assert {record["action"] for record in audit if record.get("key") == identity} >= {"train.submit", "model.activate"}
    assert identity not in stack.metrics_key["authorization"]
    assert stack.key["authorization"].split()[1] not in log + json.dumps(audit)
