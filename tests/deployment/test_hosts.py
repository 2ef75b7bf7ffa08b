"""Replicas and trainer on hosts of their own: activations, trainings, cuts, restarts."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelstore import ModelRepository
from modelstore.signing import SigningKey
from tests import postgres
from tests.app.waiting import until
from tests.deployed import access_log, environment_of, make_secrets, nginx
from tests.fakes import publish
from tests.faults.clients import Load
from tests.faults.scenes import ROW
from tests.hosts import Host, network
from tests.processes import service
from tests.promises import allowed
from tests.trainings import ended

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(not postgres.available(), reason="PostgreSQL is not installed; scripts/packages does it"),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]

PORT = 8000
RATE_PER_S = 100
SWAP_DEADLINE_S = 2.0
REQUESTS_WHILE_CUT_OFF = 600
DRAIN_S = "3"  # more than fail_timeout in deploy/nginx/hosts.conf
FLOWER = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
BRIEF = {"model": "iris", "overrides": {"hidden": [8], "epochs": 5}, "activate": "always"}


@dataclass
class Cluster:
    """The hosts and what runs on them; the store and the data sets are the folders that they share."""

    folder: Path
    environment: dict[str, str]
    replicas: dict[Host, contextlib.ExitStack] = field(default_factory=dict)
    clients: dict[Host, httpx.Client] = field(default_factory=dict)

    def start(self, host: Host) -> None:
        """Run a replica that may only read the store."""
        models = self.folder / "models"
        read_only = f'mount --bind {models} {models} && mount -o remount,ro,bind {models} && exec "$@"'
        environment = environment_of("api", self.folder) | self.environment | {"TABSERVE_DRAIN_S": DRAIN_S}
        running = contextlib.ExitStack()
        self.clients[host], _ = running.enter_context(self._service(host, environment, ("sh", "-c", read_only, "sh")))
        self.replicas[host] = running

    def stop(self) -> None:
        """Stop all replicas at the same time."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(contextlib.ExitStack.close, self.replicas.values()))

    @contextlib.contextmanager
    def trainer(self, host: Host) -> Iterator[httpx.Client]:
        """Run the trainer."""
        with self._service(host, environment_of("trainer", self.folder) | self.environment) as (client, _):
            yield client

    @contextlib.contextmanager
    def _service(self, host: Host, environment: dict[str, str], within: Sequence[str] = ()) -> Iterator[Any]:
        own = self.folder / host.name
        own.mkdir(exist_ok=True)
        with service(own, environment=environment, prefix=(*host.prefix, *within), address=(host.address, PORT)) as run:
            yield run

    def wait_until_all_serve(self, model: str, rows: dict[str, Any], version: int) -> None:
        """Return as soon as every replica answers rows with a version."""

        def serves(client: httpx.Client) -> bool:
            answer = client.post(f"/predict/{model}", json=rows)
            return answer.status_code == 200 and answer.json()["version"] == version

        until(lambda: all(map(serves, self.clients.values())), f"version {version} of {model} on all hosts")

    def upstreams(self) -> list[str]:
        """Return the addresses that nginx tried for each request, in order; those that failed come first."""
        return [json.loads(line)["upstream"] for line in access_log(self.folder)]


@dataclass(frozen=True)
class Stack:
    """The parts under test: nginx's public entry, its entry with all routes, and the trainer itself."""

    cluster: Cluster
    door: str
    operator: httpx.Client
    trainer: httpx.Client
    key: dict[str, str]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("hosts")
    make_secrets(folder / "secrets")
    for name in ("audit", "operator"):
        (folder / name).mkdir()
    publish(signed(folder))
    with contextlib.ExitStack() as started:
        net = started.enter_context(network(3))
        *serving, training = net.hosts
        database = started.enter_context(postgres.cluster(net.address, net.subnet))
        shared = {"MODELS_DIR": folder / "models", "DATASETS_DIR": folder / "datasets", "DATABASE_URL": database}
        cluster = Cluster(folder, {f"TABSERVE_{name}": str(value) for name, value in shared.items()})
        trainer = started.enter_context(cluster.trainer(training))
        started.callback(cluster.stop)
        for host in serving:
            cluster.start(host)
        hosts = [host.address for host in serving]
        door = started.enter_context(nginx(folder, hosts=hosts))
        operator = started.enter_context(nginx(folder / "operator", hosts=hosts, conf="operator.conf"))
        client = started.enter_context(httpx.Client(base_url=operator, timeout=300))
        key = {"authorization": f"Bearer {make_secrets(folder / 'secrets', 'show').strip()}"}
        yield Stack(cluster, door, client, trainer, key)


def signed(folder: Path) -> ModelRepository:
    return ModelRepository(folder / "models", SigningKey.read(folder / "secrets" / "service" / "signing_key"))


def test_every_host_answers_with_a_version_two_seconds_after_the_trainer_activated_it(
    stack: Stack, measured: Callable[[str, str], None]
) -> None:
    versions = [publish(signed(stack.cluster.folder), activate=False) for _ in range(2)]
    took = []
    for version in versions * 3:
        answer = stack.trainer.post(f"/models/means/versions/{version}/activate", headers=stack.key)
        activated = time.monotonic()
        assert answer.json()["serving_version"] == version, answer.text
        stack.cluster.wait_until_all_serve("means", ROW, version)
        took.append(time.monotonic() - activated)

    assert max(took) < allowed(SWAP_DEADLINE_S)
    measured(
        "D-10", f"{len(took)} activations at the trainer: two other hosts served it after {max(took):.2f} s at most"
    )


def test_a_training_that_nginx_takes_is_run_by_the_trainer_and_served_by_every_host(stack: Stack) -> None:
    accepted = stack.operator.post("/train", json=BRIEF, headers=stack.key)
    assert accepted.status_code == 202, accepted.text

    job = ended(stack.operator, accepted.headers["location"], headers=stack.key)
    assert (job["status"], job["activated"]) == ("succeeded", True), job
    stack.cluster.wait_until_all_serve("iris", FLOWER, job["version"])
    for client in (stack.trainer, *stack.cluster.clients.values()):
        assert client.get(accepted.headers["location"], headers=stack.key).json() == job


def test_a_host_that_is_cut_off_fails_only_what_it_was_answering_and_is_used_again(
    stack: Stack, measured: Callable[[str, str], None]
) -> None:
    cluster, load = stack.cluster, Load(stack.door, RATE_PER_S, timeout_s=10)
    lost, other = cluster.replicas
    with load.running():
        until(lambda: load.answered >= RATE_PER_S, "requests with both hosts")
        lost.cut_off()
        cut, before, answered = time.monotonic(), len(cluster.upstreams()), load.answered
        try:
            until(lambda: load.answered >= answered + REQUESTS_WHILE_CUT_OFF, "requests with one host")
            tried = cluster.upstreams()[before:]
        finally:
            lost.reconnect()
        again = len(cluster.upstreams())
        until(lambda: f"{lost.address}:{PORT}" in cluster.upstreams()[again:], "a request at the host that is back")

    found_out = [upstream for upstream in tried if upstream == f"{lost.address}:{PORT}, {other.address}:{PORT}"]
    assert 0 < len(found_out) < len(tried) / 10  # first those until nginx knows, then one now and then
    assert [failure for failure in load.failures if failure.sent > cut] == []
    until(lambda: cluster.clients[lost].get("/train", headers=stack.key).status_code == 200, "its table of trainings")
    measured(
        "F-13",
        f"one of 2 hosts behind nginx cut off during {REQUESTS_WHILE_CUT_OFF} requests, {RATE_PER_S}/s: "
        f"{len(load.failures)} of {load.answered} failed, {len(found_out)} were sent to the other host after they had "
        f"waited, the slowest took {load.slowest_s:.2f} s",
    )


def test_hosts_that_are_restarted_one_after_the_other_under_load_fail_no_request(
    stack: Stack, measured: Callable[[str, str], None]
) -> None:
    cluster, load = stack.cluster, Load(stack.door, RATE_PER_S)
    with load.running():
        for host in list(cluster.replicas):
            cluster.replicas[host].close()  # SIGTERM, and wait for its end
            cluster.start(host)
        restarted = load.answered
        until(lambda: load.answered >= restarted + 3 * RATE_PER_S, "requests after the restarts")

    assert load.failures == []
    assert {f"{host.address}:{PORT}" for host in cluster.replicas} <= set(cluster.upstreams()[-RATE_PER_S:])
    measured(
        "F-13",
        f"rolling restart of 2 hosts behind nginx, {RATE_PER_S}/s: 0 of {load.answered} requests failed, "
        f"the slowest took {load.slowest_s:.2f} s",
    )
