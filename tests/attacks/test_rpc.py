"""The gRPC port under many large messages, and many connections."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from app.server.rpc import open_inference_pb2 as messages
from app.server.rpc.calls import SERVICE
from tests.app.waiting import until
from tests.attacks.conftest import store_in
from tests.attacks.measuring import open_files, peak_bytes, reset_peak
from tests.processes import free_port, service

pytestmark = pytest.mark.slow

HELD = 32 << 20
MESSAGE = 8 << 20
BESIDES = 128 << 20  # several copies of what may be held, and what the allocator keeps; 60 messages are 480 MiB
LOCAL = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


def test_many_large_messages_are_refused_in_little_memory_and_connections_are_limited(tmp_path: Path) -> None:
    store_in(tmp_path)
    port = free_port()
    tensor = {"name": "features", "datatype": "FP32", "shape": [MESSAGE // 16 - 64, 4]}
    request = messages.ModelInferRequest(
        model_name="iris", inputs=[tensor], raw_input_contents=[bytes(MESSAGE - 1024)]
    ).SerializeToString()

    def ask(_: object) -> str:
        with grpc.insecure_channel(f"127.0.0.1:{port}", LOCAL) as channel:
            try:
                channel.unary_unary(f"/{SERVICE}/ModelInfer")(request, timeout=300)
            except grpc.RpcError as error:
                return str(error.code().name)
        return "OK"

    limits = {"TABSERVE_MAX_BYTES_HELD": str(HELD), "TABSERVE_MAX_CONNECTIONS": "50"}
    with service(tmp_path, "--grpc-port", str(port), environment=limits) as (client, process):
        with ThreadPoolExecutor(20) as several:
            list(several.map(ask, range(20)))
            reset_peak(process.pid)
            before = peak_bytes(process.pid)
            answers = set(several.map(ask, range(120)))
        assert answers <= {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}
        assert peak_bytes(process.pid) - before < BESIDES
        usual = open_files(process.pid)
        with contextlib.ExitStack() as stack:
            for _ in range(150):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert open_files(process.pid) <= usual + 50
            assert client.get("/livez").status_code == 200
        until(lambda: ask(None) == "RESOURCE_EXHAUSTED", "the port to be usable again")
