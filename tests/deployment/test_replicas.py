"""Three replicas behind nginx, as compose scales them: found, followed, and skipped."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from modelstore import ModelRepository
from tests.deployed import access_log, nginx
from tests.fakes import publish
from tests.nameserver import NameServer
from tests.processes import PROJECT, free_port, service
from tests.promises import allowed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
ROWS = {"instances": [[0.25, 0.25]]}
SWAP_DEADLINE_S = 2.0


@dataclass
class Stack:
    """The parts under test; `replicas` is by address."""

    folder: Path
    door: httpx.Client
    names: NameServer
    replicas: dict[str, tuple[httpx.Client, subprocess.Popen[bytes]]]

    def upstreams(self) -> list[str]:
        """Return the hosts that nginx tried for each request, including those that failed."""
        tried = [json.loads(line)["upstream"] for line in access_log(self.folder)]
        return [address.partition(":")[0] for addresses in tried for address in addresses.split(", ")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    publish(ModelRepository(folder / "models"))
    port, names = free_port(), NameServer(HOSTS)
    settings = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]["api"]["environment"]
    environment = {"TABSERVE_POLL_INTERVAL_S": str(settings["TABSERVE_POLL_INTERVAL_S"])}
    with contextlib.ExitStack() as started:
        replicas = {
            host: started.enter_context(service(folder, environment=environment, address=(host, port)))
            for host in HOSTS
        }
        started.enter_context(names.answering())
        upstream, resolver = f"http://api:{port}", names.address
        address = started.enter_context(nginx(folder, upstream, resolver=resolver))
        door = started.enter_context(httpx.Client(base_url=address, timeout=300))
        yield Stack(folder, door, names, replicas)


def test_every_replica_answers(stack: Stack) -> None:
    assert {stack.door.post("/predict/means", json=ROWS).status_code for _ in range(60)} == {200}
    assert set(stack.upstreams()) == set(HOSTS)


def test_all_replicas_serve_the_same_version_two_seconds_after_an_activation(stack: Stack) -> None:
    publish(ModelRepository(stack.folder / "models"), shift=0.5, activate=False)
    activated = time.monotonic()
    ModelRepository(stack.folder / "models").activate("means", 2)
    clients = [client for client, _ in stack.replicas.values()]
    while {client.post("/predict/means", json=ROWS).json()["version"] for client in clients} != {2}:
        assert time.monotonic() - activated < allowed(SWAP_DEADLINE_S)
        time.sleep(0.05)

    assert {stack.door.post("/predict/means", json=ROWS).json()["version"] for _ in range(30)} == {2}


def test_a_replica_that_is_gone_costs_no_request(stack: Stack) -> None:
    _, process = stack.replicas[HOSTS[-1]]
    process.kill()
    process.wait()

    assert {stack.door.post("/predict/means", json=ROWS).status_code for _ in range(90)} == {200}
    assert stack.upstreams()[-60:].count(HOSTS[-1]) > 0  # it was tried, for its name was still known


def test_a_name_is_looked_up_again_within_a_second_or_two(stack: Stack) -> None:
    stack.names.addresses = HOSTS[:1]
    deadline = time.monotonic() + allowed(3)
    latest: list[str] = []
    while latest[-30:] != [HOSTS[0]] * 30:
        assert time.monotonic() < deadline
        assert stack.door.post("/predict/means", json=ROWS).status_code == 200
        latest = stack.upstreams()
        time.sleep(0.01)
