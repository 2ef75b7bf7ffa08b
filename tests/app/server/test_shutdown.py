"""The staged shutdown: accepted requests are answered, then the process ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import uvicorn

from app.lifecycle import DEVICE_LOST, Lifetime
from app.server.shutdown import DrainingServer
from tests.app.server.live import LIVEZ, Live, high, mean, rows_body, store_in
from tests.app.sockets import Connection, held_still, request
from tests.app.telemetry.figures import held_up
from tests.app.waiting import until
from tests.processes import service


@pytest.mark.slow
def test_requests_in_flight_are_answered_before_the_end(tmp_path: Path) -> None:
    store_in(tmp_path)
    waiting, sending, other_way = request(mean(0.25)), request(mean(0.5)), request(rows_body((0.75,) * 4, version=1))
    with service(tmp_path, environment={"TABSERVE_MAX_BATCH_WAIT_S": "1"}) as (client, process):
        live = Live(client, process, tmp_path / "service.log")
        connections = {raw: Connection(live.url) for raw in (sending, other_way, waiting)}
        for raw, connection in connections.items():
            connection.send(raw[:-5] if raw is not waiting else LIVEZ)
        assert connections[waiting].answer().status == 200
        until(lambda: held_up(live.client) == 2, "two are being sent")
        with held_still(process.pid):  # what comes with the signal waits for its batch when the end begins
            connections[waiting].send(waiting)
            process.send_signal(signal.SIGTERM)
        until(lambda: "no more connections" in live.log.read_text(), "the service ends")
        for raw in (sending, other_way):
            connections[raw].send(raw[-5:])

        answers = [connections[raw].answer() for raw in (waiting, sending, other_way)]

        assert [high(answer) for answer in answers] == [0.25, 0.5, 0.75]
        assert [answer.headers["connection"] for answer in answers] == ["close"] * 3
        assert [connection.rest() for connection in connections.values()] == [b""] * 3
        client.close()
        assert process.wait(120) == 0
    for connection in connections.values():
        connection.socket.close()


async def nothing(_scope: object, _receive: object, _send: object) -> None:
    """Be an app that is never asked."""


def server(lifetime: Lifetime, *, drain_s: float = 60, supervisor: int | None = None) -> DrainingServer:
    config = uvicorn.Config(nothing, log_config=None)
    config.load()
    made = DrainingServer(config, lifetime, drain_s=drain_s, grace_s=0, supervisor=supervisor)
    made.started = True
    return made


def ends_after(server: DrainingServer, number: signal.Signals) -> bool:
    """Return whether the server ends at the next look after a signal."""

    async def signalled() -> bool:
        assert not await server.on_tick(1)
        server.handle_exit(number, None)
        return await server.on_tick(2)

    return asyncio.run(signalled())


def test_signal_fails_readiness_at_once_and_serving_goes_on_while_it_drains() -> None:
    lifetime = Lifetime()

    assert not ends_after(server(lifetime), signal.SIGTERM)
    assert lifetime.unready == "draining: the service was told to stop"


def test_people_who_press_ctrl_c_do_not_wait_for_load_balancers() -> None:
    lifetime = Lifetime()
    stopped = server(lifetime)

    assert ends_after(stopped, signal.SIGINT)
    assert (lifetime.draining, stopped.exit_code) == (True, 0)


def test_lost_device_ends_the_process_with_a_code_of_its_own() -> None:
    lifetime = Lifetime()
    lifetime.lose_device()
    lost = server(lifetime)

    assert asyncio.run(lost.on_tick(1))
    assert lost.exit_code == DEVICE_LOST


def test_launcher_gets_a_heartbeat_a_second_and_its_end_stops_the_worker() -> None:
    lifetime = Lifetime()
    heard, supervisor = os.pipe()
    worker = server(lifetime, drain_s=0, supervisor=supervisor)

    async def ticks() -> bool:
        for counter in range(20):
            assert not await worker.on_tick(counter)
        assert os.read(heard, 100) == b".."
        os.close(heard)
        return await worker.on_tick(20)

    assert asyncio.run(ticks())
    assert lifetime.draining
    os.close(supervisor)
