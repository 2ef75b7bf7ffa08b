"""A replica that may not write the store and the trainer beside it, on one PostgreSQL, as docker-compose.yml says."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from modelstore import ModelRepository
from tests import postgres
from tests.fakes import publish
from tests.processes import PROJECT, service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres.available(), reason="PostgreSQL is not installed; scripts/packages does it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting the store read-only needs root"),
]

COMPOSE: Any = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SHARED = ("TABSERVE_DEVICE", "TABSERVE_TRAIN_MEMORY_BYTES")  # the first is chosen at start, the second is large
DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")  # what compose takes where the operator's variable is not set
JOB_DEADLINE_S = 90.0
SWAP_DEADLINE_S = 2.0


def environment(name: str, url: str) -> dict[str, str]:
    """Return what compose gives a service, and the job table that its secret names."""
    variables = COMPOSE["services"][name]["environment"]
    given = {key: DEFAULT.sub(r"\1", str(value)) for key, value in variables.items() if key not in SHARED}
    return given | {"TABSERVE_DATABASE_URL": url}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Return clients of the replica and of the trainer."""
    publish(ModelRepository(tmp_path / "models"), "iris", features=("a", "b", "c", "d"), classes=("x", "y", "z"))
    models = tmp_path / "models"
    read_only = f'mount --bind {models} {models} && mount -o remount,ro,bind {models} && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", read_only, "sh")
    with contextlib.ExitStack() as started:
        url = started.enter_context(postgres.cluster())
        trainer, _ = started.enter_context(service(tmp_path, environment=environment("trainer", url)))
        replica, _ = started.enter_context(service(tmp_path, environment=environment("api", url), prefix=prefix))
        yield replica, trainer


@pytest.mark.timeout(240)
def test_a_training_that_a_replica_accepts_is_run_by_the_trainer_and_served_by_both(
    stack: tuple[httpx.Client, httpx.Client],
) -> None:
    replica, trainer = stack
    assert replica.post("/models/iris/versions/1/activate").status_code == 503  # it cannot write the store

    wanted = {"model": "iris", "overrides": {"hidden": [8], "epochs": 60}, "seed": 5, "activate": "always"}
    accepted = replica.post("/train", json=wanted)
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + JOB_DEADLINE_S
    while not (job := replica.get(accepted.headers["location"]).json())["finished"]:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    ended = time.monotonic()
    assert (job["status"], job["version"], job["activated"]) == ("succeeded", 2, True)
    assert trainer.get(accepted.headers["location"]).json()["version"] == 2

    row = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    while {client.post("/predict/iris", json=row).json()["version"] for client in stack} != {2}:
        assert time.monotonic() - ended < SWAP_DEADLINE_S
        time.sleep(0.05)
