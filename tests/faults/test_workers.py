"""F-23, F-26, F-27: workers that are killed, lose their device, or lack descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.security.keys import KeyFile, Scope
from tests.app.sockets import connected, request
from tests.app.waiting import until
from tests.faults.clients import Clients
from tests.faults.lostdevice.sitecustomize import LOSES
from tests.faults.scenes import ROW, Scene, children_of, gone, rounds
from tests.processes import PLAIN, service
from tests.promises import Measured, allowed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKERS = 3
LOST_DEVICE = {"PYTHONPATH": str(Path(__file__).parent / "lostdevice")}
LOSING = {"instances": [[LOSES, 0.5]]}
EX_DEVICE = 70


async def counted(client: httpx.AsyncClient) -> float:
    """Return the number of predictions answered 200 by all workers, as reported by one of them."""
    text = (await client.get("/metrics", headers={"connection": "close"})).text
    wanted = {"route": "/predict/{model}", "method": "POST", "code": "200"}
    return sum(s.value for f in text_string_to_metric_families(text) for s in f.samples if s.labels == wanted)


async def watch(client: httpx.AsyncClient, seen: list[float]) -> None:
    while True:
        with contextlib.suppress(httpx.TransportError):  # of a worker that is killed
            seen.append(await counted(client))
        await asyncio.sleep(0.05)


async def until_new(load: Clients, known: set[str]) -> float:
    """Return the time of the first response of a new worker."""
    async with asyncio.timeout(300):
        while not (new := set(load.workers) - known):
            await load.ask_anew()
            await asyncio.sleep(0.02)
    return min(load.workers[name] for name in new)


async def survive_kills(client: httpx.Client, launcher: int, times: int) -> tuple[Clients, list[float], int]:
    """Kill one worker after the other under load; return the clients, respawn times, and failures per kill at most."""
    load, choice, seen = Clients(client.base_url, 20, 0.1), random.Random(26), list[float]()
    respawns, most = [], 0
    async with httpx.AsyncClient(base_url=client.base_url, timeout=300) as scraper, load.asking():
        watching = asyncio.create_task(watch(scraper, seen))
        while len(load.workers) < WORKERS:
            await until_new(load, set(load.workers))
        for _ in range(times):
            known, failed = set(load.workers), len(load.failures)
            killed = choice.choice(sorted(children_of(launcher)))
            at = time.monotonic()
            os.kill(killed, signal.SIGKILL)
            respawns.append(await until_new(load, known) - at)
            failures = load.failures[failed:]
            assert len({failure.worker for failure in failures} - {None}) <= 1, failures
            most = max(most, len(failures))
        quiet_from = len(load.failures)
        await asyncio.sleep(rounds(3, 5))  # no request may fail in this time
        assert load.failures[quiet_from:] == []
        watching.cancel()
    assert seen == sorted(seen), "the sum of the figures went down"
    assert set(load.answers) == {200}
    return load, respawns, most


@pytest.mark.alone
def test_killed_workers_take_only_their_own_requests_with_them(scene: Scene, measured: Measured) -> None:
    """F-26: 2 kills of one of 3 workers at some 200 requests a second; long: 20."""
    times = rounds(2, 20)
    with scene.service(environment={"TABSERVE_WORKERS": str(WORKERS)}) as (client, process):
        load, respawns, most = asyncio.run(survive_kills(client, process.pid, times))
        assert process.poll() is None

    assert most <= load.clients
    assert statistics.median(respawns) < allowed(5)
    assert max(respawns) < allowed(10)  # three workers and their clients share two cores
    measured(
        "F-26",
        f"{times} workers killed: {len(load.failures)} of {load.answers.total()} requests failed, {most} at a time, "
        f"a new worker after {statistics.median(respawns):.1f} s ({max(respawns):.1f} s at most), figures never fell",
    )


def answering(client: httpx.Client) -> set[str]:
    """Return which workers answer, by the beginning of their request ids."""
    workers = set()
    for _ in range(10):
        with connected(client.base_url) as connection:
            connection.send(request(b"", "/livez", {"connection": "close"}, method="GET"))
            answer = connection.answer()
        if answer.status == 200:
            workers.add(answer.headers["x-request-id"][:8])
    return workers


def two_workers(launcher: int) -> set[int] | None:
    found = children_of(launcher)
    return found if len(found) == 2 else None


def test_worker_that_hangs_is_replaced_and_all_stop_when_their_launcher_is_killed(scene: Scene) -> None:
    """F-26: not one that was paused with its launcher.

    A worker notices the end of its launcher by its heartbeats, hence not before it serves.
    """
    with scene.service(environment={"TABSERVE_WORKERS": "2", "TABSERVE_HUNG_AFTER_S": "2"}) as (client, process):
        workers = until(lambda: two_workers(process.pid), "two workers")
        until(lambda: len(answering(client)) == 2, "two workers that serve")
        for stopped in (process.pid, *workers):  # for longer than a worker may hang, as on a machine that sleeps
            os.kill(stopped, signal.SIGSTOP)
        time.sleep(4)  # the fault itself
        for stopped in (process.pid, *workers):
            os.kill(stopped, signal.SIGCONT)
        until(lambda: len(answering(client)) == 2, "two workers that serve again")
        assert children_of(process.pid) == workers

        hung = min(workers)
        os.kill(hung, signal.SIGSTOP)
        until(lambda: hung not in children_of(process.pid), "its end")
        until(lambda: len(children_of(process.pid)) == 2, "a new one")

        until(lambda: len(answering(client)) == 2, "two workers that serve")
        workers = children_of(process.pid)
        process.kill()
        gone(*workers)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client, int]]:
    """Return the folder of two workers with a key file and a device to lose, a client with a key, and the launcher."""
    scene = Scene(tmp_path_factory.mktemp("pair"))
    keys = KeyFile(scene.folder / "keys.json")
    key = keys.create(frozenset({Scope.PREDICT}), None, "")
    environment = {"TABSERVE_WORKERS": "2", "TABSERVE_KEYS_FILE": str(keys.path), "TABSERVE_ANONYMOUS": "predict"}
    with scene.service(environment=environment | LOST_DEVICE) as (client, process):
        client.headers["authorization"] = f"Bearer {key}"
        yield scene, client, process.pid


def test_worker_that_loses_its_device_is_started_again_while_the_other_serves(
    pair: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-23: the first test of the pair, as each death of a worker makes the next start later."""
    _, client, launcher = pair
    until(lambda: len(answering(client)) == 2, "two workers")

    async def lose_one() -> tuple[Clients, float]:
        load = Clients(client.base_url, 8, 0.05)
        async with httpx.AsyncClient(base_url=client.base_url, timeout=300) as asker, load.asking():
            while len(load.workers) < 2:
                await until_new(load, set(load.workers))
            known, began = set(load.workers), time.monotonic()
            assert (await asker.post("/predict/means", json=LOSING)).status_code == 503
            return load, await until_new(load, known) - began

    workers = children_of(launcher)
    load, back_s = asyncio.run(lose_one())
    assert len(children_of(launcher) & workers) == 1

    assert load.failures == []
    assert set(load.answers) <= {200, 503}
    assert set(load.advice) <= {"1"}
    assert back_s < allowed(10)
    measured(
        "F-23", f"one of two workers loses its device: no request without an answer, a new one after {back_s:.1f} s"
    )


def test_worker_that_cannot_start_again_is_tried_while_the_other_serves(
    pair: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-26: the key file is invalid at that moment."""
    scene, client, launcher = pair
    keys, log = scene.folder / "keys.json", scene.folder / "service.log"
    until(lambda: len(answering(client)) == 2, "two workers")
    workers = children_of(launcher)
    whole = keys.read_bytes()
    keys.write_text("{")
    os.kill(min(workers), signal.SIGKILL)
    until(lambda: log.read_text().count("a worker ended with exit code 3") >= 2, "two tries")
    assert max(workers) in children_of(launcher)
    assert len(answering(client)) == 1

    keys.write_bytes(whole)
    until(lambda: len(answering(client)) == 2, "a new worker")
    assert "TABSERVE_KEYS_FILE" in log.read_text()
    measured("F-26", "a worker that cannot start again is tried again, the other serves on")


def test_launcher_without_a_descriptor_for_a_new_worker_keeps_those_that_serve(
    pair: tuple[Scene, httpx.Client, int],
) -> None:
    """F-26: the limit falls to what the launcher has open."""
    scene, client, launcher = pair
    until(lambda: len(answering(client)) == 2, "two workers")
    workers = children_of(launcher)
    limits = resource.prlimit(launcher, resource.RLIMIT_NOFILE)
    resource.prlimit(launcher, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(min(workers), signal.SIGKILL)
    until(lambda: "cannot be started now" in (scene.folder / "service.log").read_text(), "the first try")
    assert children_of(launcher) == {max(workers)}
    until(lambda: answers(client), "an answer")  # the connection of the client may have been the killed worker's

    resource.prlimit(launcher, resource.RLIMIT_NOFILE, limits)
    until(lambda: len(answering(client)) == 2, "a new worker")
    assert max(workers) in children_of(launcher)


async def lose_device(client: httpx.Client) -> tuple[Clients, float, httpx.Response]:
    """Lose the device of whoever answers; return the clients, seconds until unready or refused, and the answer."""
    load = Clients(client.base_url, 8, 0.01)
    async with httpx.AsyncClient(base_url=client.base_url, timeout=300) as asker, load.asking():
        await asyncio.sleep(0.2)
        answer = await asker.post("/predict/means", json=LOSING, headers={"connection": "close"})
        began = time.monotonic()
        with contextlib.suppress(httpx.ConnectError):
            while (await asker.get("/readyz", headers={"connection": "close"})).is_success:
                assert time.monotonic() - began < 120, answer.text
        unready_s = time.monotonic() - began
        await asyncio.sleep(0.5)
    return load, unready_s, answer


def test_lost_device_is_answered_503_and_ends_the_process_with_70(scene: Scene, measured: Measured) -> None:
    """F-23, on the CPU."""
    with scene.service(environment=LOST_DEVICE) as (client, process):
        load, unready_s, answer = asyncio.run(lose_device(client))
        code = process.wait(120)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:tabserve:problem:device-lost"
    assert set(load.answers) <= {200, 503}
    assert set(load.advice) <= {"1"}
    assert unready_s < allowed(1)
    assert code == EX_DEVICE
    # after the listener has closed, no request can be answered
    assert all("ConnectionRefused" in failure.how or not failure.worker for failure in load.failures), load.failures
    measured(
        "F-23",
        f"lost device: answers {dict(sorted(load.answers.items()))} by status, no 500, unready after "
        f"{1000 * unready_s:.0f} ms, exit code {code}",
    )


@contextlib.contextmanager
def connections(client: httpx.Client, count: int) -> Iterator[list[socket.socket]]:
    """Hold idle connections."""
    with contextlib.ExitStack() as held:
        opened = [held.enter_context(socket.socket()) for _ in range(count)]
        for connection in opened:
            connection.setblocking(False)
            connection.connect_ex((client.base_url.host, client.base_url.port))
        yield opened


def ended(connection: socket.socket) -> bool:
    """Return whether the service has closed a connection."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.fixture(scope="module")
def scarce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client, Popen[bytes]]]:
    """Return a service that was started with a limit of 48 descriptors, which it may raise to 64."""
    scene = Scene(tmp_path_factory.mktemp("scarce"))
    with service(scene.folder, prefix=("prlimit", "--nofile=48:64")) as (client, process):
        yield scene, client, process


def test_service_with_few_descriptors_serves_beside_many_connections(
    scarce: tuple[Scene, httpx.Client, Popen[bytes]], measured: Measured
) -> None:
    """F-27: 64 descriptors in all, 200 connections that do nothing."""
    scene, client, process = scarce
    with connections(client, 200) as held:
        until(lambda: sum(map(ended, held)) >= 200 - 64, "the end of those that are too many")
        until(lambda: answers(client), "an answer beside them")
    assert process.poll() is None
    assert client.post("/predict/means", json=ROW).status_code == 200

    log = (scene.folder / "service.log").read_text()
    assert "TABSERVE_MAX_CONNECTIONS" in log
    assert "traceback" not in log.lower()
    measured("F-27", "64 descriptors, 200 connections that do nothing: predictions are answered meanwhile")


def test_service_that_can_open_nothing_more_answers_as_soon_as_it_can(scene: Scene, measured: Measured) -> None:
    """F-27: the limit falls to what is open now."""
    with scene.service() as (client, process):
        opened = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (opened + 5, limits[1]))
        with connections(client, 200) as held:
            until(lambda: sum(map(ended, held)) >= 100, "the end of those that are too many")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        began = time.monotonic()
        until(lambda: answers(client), "an answer")
        took_s = time.monotonic() - began
        assert process.poll() is None

    assert took_s < allowed(5)
    measured(
        "F-27", f"no descriptor left, 200 connections: alive, and answers {1000 * took_s:.0f} ms after there are some"
    )


def answers(client: httpx.Client) -> bool:
    try:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=30, verify=PLAIN) as own:
            return own.post("/predict/means", json=ROW).status_code == 200
    except httpx.TransportError:
        return False


def test_service_takes_as_many_descriptors_as_it_may_have(scarce: tuple[Scene, httpx.Client, Popen[bytes]]) -> None:
    """F-27: the soft limit is only what programs from before poll(2) can bear."""
    _, _, process = scarce
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (64, 64)
