"""F-02, F-03: a service killed at any moment, and the order of writes of a version."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.waiting import until
from tests.fakes import publish
from tests.faults.scenes import ROW, Scene, children_of, gone, results, rounds, start, strace
from tests.processes import PLAIN
from tests.promises import Measured, allowed
from tests.trainings import FINAL, ended

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

READY_S = 10.0
PUBLISHES = "end('succeeded', 'published', version=publish())"
HIGH = {1: 0.5, 2: 0.75}  # what the versions of `means` answer to ROW


def ask(client: httpx.Client) -> None:
    answer = client.post("/predict/means", json=ROW)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["predictions"][0]["probabilities"]["high"] == HIGH[document["version"]]


def promote(client: httpx.Client) -> None:
    for version in HIGH:
        assert client.post(f"/models/means/versions/{version}/activate").status_code == 200


def train(client: httpx.Client) -> None:
    assert client.post("/train", json={"model": "iris"}).status_code in {202, 409}


class Busy:
    """Threads that each repeat one action until the service is killed."""

    def __init__(self, client: httpx.Client, *what: Callable[[httpx.Client], None]) -> None:
        self._client = client
        self._threads = [threading.Thread(target=self._run, args=(act,)) for act in what]
        self.wrong: list[str] = []

    def _run(self, act: Callable[[httpx.Client], None]) -> None:
        with httpx.Client(base_url=self._client.base_url, timeout=300, verify=PLAIN) as client:
            try:
                while True:
                    act(client)
            except httpx.TransportError:
                return  # killed
            except AssertionError as error:
                self.wrong.append(str(error))

    def __enter__(self) -> Busy:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()


def nothing_is_lost(scene: Scene, client: httpx.Client) -> None:
    """Check the state after a kill: the serving version, the store, the jobs."""
    serving = client.get("/models/means").json()["serving_version"]
    assert serving == scene.repository.active("means")
    ask(client)
    versions = scene.repository.versions("iris")
    for version in versions:
        found = scene.repository.find("iris", version)
        found.model_bytes(found.manifest())
    jobs = client.get("/train").json()["jobs"]
    for job in jobs:
        if job["status"] not in FINAL and job["started"]:
            job = ended(client, job["id"])  # noqa: PLW2901
        assert job["status"] not in FINAL or results(client, job["id"]) == 1
    published = [job["version"] for job in jobs if job["version"]]
    assert len(published) == len(set(published))  # no number twice


def test_service_killed_at_any_moment_is_ready_again_and_lost_nothing(scene: Scene, measured: Measured) -> None:
    """F-02: 3 kills while it trains, promotes and predicts; long: 100."""
    moments = random.Random(2)
    times = rounds(3, 100)
    publish(scene.repository, shift=0.25, activate=False)
    scene.training(PUBLISHES)
    ready_s, gone_s = [], []
    for _ in range(times):
        began = time.monotonic()
        with scene.service() as (client, process):
            ready_s.append(time.monotonic() - began)
            nothing_is_lost(scene, client)
            with Busy(client, ask, promote, train) as busy:
                time.sleep(moments.uniform(0, 2))  # the time of the kill is random
                children = children_of(process.pid)
                process.kill()
                began = time.monotonic()
                gone(*children)
                gone_s.append(time.monotonic() - began)
            assert busy.wrong == []
    with scene.service() as (client, _):
        nothing_is_lost(scene, client)
        until(lambda: all(job["status"] in FINAL for job in client.get("/train").json()["jobs"]), "all ends")
        assert ended(client, start(client))["reason"] == "succeeded"

    assert max(ready_s) <= allowed(READY_S)
    measured(
        "F-02",
        f"{times} kills: nothing lost, ready again within {max(ready_s):.1f} s, processes gone in {max(gone_s):.1f} s",
    )


def test_table_says_a_version_only_when_that_is_on_the_disk(scene: Scene, tmp_path: Path, measured: Measured) -> None:
    """F-03: in the calls of service and training, fsync and rename come in the order of PostgreSQL's durable_rename."""
    trace = tmp_path / "trace"
    scene.training(PUBLISHES)
    calls = "trace=fsync,fdatasync,?rename,?renameat,?renameat2"
    with scene.service() as (client, process), strace(process.pid, "-y", "-o", str(trace), "-e", calls):
        for _ in range(3):
            assert ended(client, start(client))["reason"] == "succeeded"
    steps = trace.read_text().splitlines()
    model = re.escape(str(scene.repository.root / "iris"))

    for version in (1, 2, 3):
        wanted = (
            rf"fsync\(\d+<{model}/\.staging-[^/>]+/model\.pt>",
            rf"fsync\(\d+<{model}/\.staging-[^/>]+/manifest\.json>",
            rf"fsync\(\d+<{model}/\.staging-[^/>]+>",
            rf"rename\w*\(.*{model}/\.staging-[^/]+\", .*{model}/{version}\"",
            rf"fsync\(\d+<{model}>",
            r"fdatasync\(\d+<.*/jobs\.sqlite3-wal>",
        )
        rest = iter(steps)
        assert [pattern for pattern in wanted if not any(re.search(pattern, step) for step in rest)] == []
        steps = list(rest)
    measured("F-03", "files, folder, rename, parent, job table: in this order for 3 of 3 trainings")


def test_killed_service_leaves_no_staging_folder_for_ever(scene: Scene) -> None:
    """F-02: what a killed training left is removed by the next one that publishes."""
    leftover = scene.repository.root / "iris" / ".staging-leftover"
    leftover.mkdir(parents=True)
    scene.training(PUBLISHES)
    with scene.service() as (client, _):
        assert ended(client, start(client))["reason"] == "succeeded"
    assert not leftover.exists()
