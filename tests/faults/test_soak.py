"""F-30: all loads together for long: bounded memory, files and threads, no wrong answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from tests.app.runners import threads_of
from tests.app.sockets import request
from tests.attacks.measuring import open_files, resident_bytes
from tests.fakes import publish
from tests.faults.scenes import Scene, rounds
from tests.promises import Measured
from tests.trainings import FINAL

SOAK_S = int(os.environ.get("TABSERVE_SOAK_S") or rounds(30, 1800))
WARM_UP_S = min(300, SOAK_S // 2)
MAX_SLOPE_MIB_PER_MIN = 0.5
MAX_GROWTH_MIB = 8  # for a short soak, whose slope is imprecise: one arena of the allocator is as large
SLOW_CLIENTS = 20
HIGH = {1: 0.5, 2: 0.75}  # what the versions answer to left 0.25, right 0.75
BAD = (
    b"",
    b"{",
    b"[" * 10_000,
    b'{"instances": []}',
    b'{"instances": [[1]]}',
    b'{"instances": [[1, NaN]]}',
    b'{"instances": [[1, "2"]]}',
    b'{"instances": [[1, 1e39]]}',
    b"\xff\xfe\x00",
)

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(SOAK_S + 300)]


@dataclass
class Soak:
    """A crowd on one service: each does one thing again and again.

    Attributes:
        done: how often everything was done that was answered as it should.
        wrong: what was not.
    """

    base_url: httpx.URL
    over: threading.Event = field(default_factory=threading.Event)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def again_and_again(self, act: Callable[[httpx.Client], None], pause_s: float) -> None:
        with httpx.Client(base_url=self.base_url, timeout=300) as client:
            while not self.over.wait(pause_s):
                try:
                    act(client)
                except (AssertionError, httpx.TransportError) as error:
                    self.wrong.append(f"{act.__name__}: {error!r}")
                else:
                    self.done[act.__name__] += 1


def predicts_json(client: httpx.Client) -> None:
    for rows in (1, 64):
        answer = client.post("/predict/means", json={"instances": [[0.25, 0.75]] * rows})
        assert answer.status_code == 200, answer.text
        document = answer.json()
        found = {one["probabilities"]["high"] for one in document["predictions"]}
        assert found == {HIGH[document["version"]]}, answer.text


def predicts_csv(client: httpx.Client) -> None:
    body = b"left,right\n" + b"0.25,0.75\n" * 500
    answer = client.post("/predict/means", content=body, headers={"content-type": "text/csv", "accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    assert len(answer.text.splitlines()) == 501


def predicts_by_the_open_protocol(client: httpx.Client) -> None:
    tensor = {"name": "features", "shape": [2, 2], "datatype": "FP32", "data": [0.25, 0.75, 0.25, 0.75]}
    answer = client.post("/v2/models/means/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text


def sends_what_is_wrong(client: httpx.Client) -> None:
    for body in BAD:
        answer = client.post("/predict/means", content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, (body, answer.text)


def goes_away(client: httpx.Client) -> None:
    """Disconnect within a request, after one, and during the response; with FIN and with RST."""
    whole = request(json.dumps({"instances": [[0.25, 0.75]] * 500}).encode(), "/predict/means")
    for sent in (whole[:40], whole[:-10], whole):
        for reset in (False, True):
            with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
                connection.sendall(sent)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def promotes(client: httpx.Client) -> None:
    for version in HIGH:
        answer = client.post(f"/models/means/versions/{version}/activate")
        assert answer.json()["serving_version"] == version, answer.text


def trains(client: httpx.Client) -> None:
    """Run two trainings of three to their end, and cancel the third."""
    for cancelled in (False, False, True):
        started = client.post("/train", json={"model": "iris"})
        assert started.status_code == 202, started.text
        place = started.headers["location"]
        if cancelled:
            assert client.delete(place).is_success
        while (job := client.get(place, params={"wait_s": 5}).json())["status"] not in FINAL:
            time.sleep(0.05)
        assert job["reason"] in ({"cancelled", "succeeded"} if cancelled else {"succeeded"}), job


def reads_what_there_is(client: httpx.Client) -> None:
    for path in ("/metrics", "/models", "/health", "/train", "/openapi.json", "/readyz", "/nowhere"):
        assert client.get(path).status_code == (404 if path == "/nowhere" else 200), path


class SlowClients:
    """Connections that send a byte of a request occasionally, and reconnect when they are closed."""

    __name__ = "sends_slowly"

    def __init__(self) -> None:
        self._connections: list[socket.socket] = []

    def __call__(self, client: httpx.Client) -> None:
        while len(self._connections) < SLOW_CLIENTS:
            self._connections.append(socket.create_connection((client.base_url.host, client.base_url.port or 80)))
        for connection in self._connections[:]:
            try:
                connection.sendall(b"P")
            except OSError:
                connection.close()
                self._connections.remove(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


PACES: dict[Callable[[httpx.Client], None], float] = {
    predicts_json: 0.005,
    predicts_csv: 0.05,
    predicts_by_the_open_protocol: 0.02,
    sends_what_is_wrong: 0.1,
    goes_away: 0.1,
    promotes: 1.0,
    trains: 1.0,
    reads_what_there_is: 1.0,
}


@dataclass
class Samples:
    """Resources of a process, once a second after the warm-up."""

    at_s: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, pid: int, at_s: float) -> None:
        self.at_s.append(at_s)
        self.resident_mib.append(resident_bytes(pid) / (1 << 20))
        self.files.append(open_files(pid))
        self.threads.append(threads_of(pid))

    def slope_mib_per_min(self) -> float:
        return 60 * statistics.linear_regression(self.at_s, self.resident_mib).slope

    def growth(self, values: list[float] | list[int]) -> float:
        """Return by how much the median of the last third exceeds that of the first."""
        third = len(values) // 3
        return statistics.median(values[-third:]) - statistics.median(values[:third])


def soak(scene: Scene, pid: int, crowd: Soak) -> Samples:
    slow = SlowClients()
    threads = [threading.Thread(target=crowd.again_and_again, args=pair) for pair in (*PACES.items(), (slow, 1.0))]
    samples = Samples()
    with contextlib.closing(slow):
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while (at_s := time.monotonic() - began) < SOAK_S:
            if at_s >= WARM_UP_S:
                samples.take(pid, at_s)
            time.sleep(1)
        crowd.over.set()
        for thread in threads:
            thread.join()
    return samples


def test_soak_costs_no_memory_no_files_no_threads_and_no_answer(scene: Scene, measured: Measured) -> None:
    """F-30: 30 s; long: half an hour, or as many seconds as TABSERVE_SOAK_S says."""
    publish(scene.repository, shift=0.25, activate=False)
    scene.training("end('succeeded', 'published', version=publish())")
    with scene.service() as (client, process):
        crowd = Soak(client.base_url)
        samples = soak(scene, process.pid, crowd)
        text = client.get("/metrics").text
    failed = [
        line for line in text.splitlines() if line.startswith("tabserve_http_requests_total{") and 'code="5' in line
    ]
    growth, slope = samples.growth(samples.resident_mib), samples.slope_mib_per_min()

    assert crowd.wrong == []
    assert failed == []
    assert {act.__name__ for act in PACES} <= crowd.done.keys()
    assert samples.growth(samples.files) <= 10
    assert samples.growth(samples.threads) <= 2
    assert growth <= MAX_GROWTH_MIB
    if SOAK_S >= 3 * WARM_UP_S:
        assert slope <= MAX_SLOPE_MIB_PER_MIN
    measured(
        "F-30",
        f"{SOAK_S} s of everything at once, {crowd.done.total()} rounds: 0 wrong, 0 answers 5xx, "
        f"memory {slope:+.2f} MiB a minute, "
        f"{samples.growth(samples.files):+.0f} open files, {samples.growth(samples.threads):+.0f} threads",
    )
