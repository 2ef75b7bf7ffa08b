"""The gRPC server in real processes: its start, its end, and several workers on one port."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from starlette.testclient import TestClient

from app.errors import ConfigurationError
from app.main import create_app
from app.server.rpc.calls import SERVICE
from app.server.rpc.server import GrpcServer
from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import free_port, service
from tests.settings import settings_in

ROWS = np.array([[0.25, 0.25], [0.5, 1.0]], np.float32)


def features() -> Any:
    tensor = triton.InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS)
    return tensor


def test_address_that_cannot_be_listened_on_is_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with TestClient(create_app(settings)) as client:
        assert client.portal is not None
        first = GrpcServer(client.app, settings, 0, dict)  # type: ignore[arg-type]
        client.portal.call(first.start)
        second = GrpcServer(client.app, settings, first.port, dict)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{first.port}; choose another port"):
            client.portal.call(second.start)
        client.portal.call(first.stop, 0)


@pytest.mark.slow
def test_tritons_client_is_answered_by_each_of_two_workers_and_refused_after_the_signal(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    port = free_port()
    flags = ("--grpc-port", str(port), "--workers", "2", "--drain-s", "0", "--access-log")
    with service(tmp_path, *flags) as (client, process):
        for _ in range(12):  # each on a connection of its own, so that both processes get some
            with triton.InferenceServerClient(
                f"127.0.0.1:{port}", channel_args=[("grpc.use_local_subchannel_pool", 1)]
            ) as asker:
                answer = asker.infer("means", [features()])
                assert answer.as_numpy("probabilities").tolist() == [[0.75, 0.25], [0.25, 0.75]]
                assert answer.as_numpy("label").tolist() == [b"low", b"high"]
        counted = 'tabserve_http_requests_total{route="/v2/models/{model}/infer",method="POST",code="200"} 12'
        until(lambda: counted in client.get("/metrics").text, "both workers' counts")
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=120)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_call_in_flight_is_answered_before_the_end_and_new_ones_are_refused(tmp_path: Path) -> None:
    async def scene() -> tuple[bytes, grpc.StatusCode]:
        arrived, released = asyncio.Event(), asyncio.Event()

        async def app(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
            arrived.set()
            await released.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        server = GrpcServer(app, settings_in(tmp_path), 0, dict)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            live = channel.unary_unary(f"/{SERVICE}/ServerLive")
            first = live(b"")
            await arrived.wait()
            stopping = asyncio.create_task(server.stop(120))
            await asyncio.sleep(0)
            try:
                await live(b"", timeout=120)
            except grpc.aio.AioRpcError as error:
                refused = error.code()
            released.set()
            answer = await first
            await stopping
        return answer, refused

    answer, refused = asyncio.run(scene())
    assert answer == b"\x08\x01"  # live = true
    assert refused in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)  # before it arrived, or as it did
