"""The calls of the protocol through the real app, with the published messages."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from starlette.testclient import TestClient
from tritonclient.grpc import service_pb2 as published

from app.security.keys import KeyFile, Scope
from app.server.rpc.calls import SERVICE, client_address
from app.server.rpc.server import GrpcServer
from app.server.rpc.translation import TranslatedBody
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository
from tests.app.oip import INFER, announced, outputs_of, whole
from tests.app.server.rpc.conftest import served
from tests.app.telemetry.figures import REQUESTS, count
from tests.app.waiting import until
from tests.fakes import publish
from tests.settings import settings_in

Both = tuple[TestClient, Any]
ROWS = np.array([[0.25, 0.25], [0.5, 1.0]], "<f4")


def call(channel: Any, name: str, request: Any, **options: Any) -> Any:
    answer = getattr(published, f"{name}Response")
    return channel.unary_unary(f"/{SERVICE}/{name}", type(request).SerializeToString, answer.FromString)(
        request, timeout=options.pop("timeout", 120), **options
    )


def refusal(channel: Any, name: str, request: Any, **options: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, name, request, **options)
    return caught.value.code(), caught.value.details()


def infer_request(**fields: Any) -> Any:
    features = {"name": "features", "datatype": "FP32", "shape": [2, 2]}
    return published.ModelInferRequest(
        **{"model_name": "means", "inputs": [features], "raw_input_contents": [ROWS.tobytes()]} | fields
    )


def test_health_and_metadata_are_those_of_http(both: Both) -> None:
    client, channel = both

    assert call(channel, "ServerLive", published.ServerLiveRequest()).live
    assert call(channel, "ServerReady", published.ServerReadyRequest()).ready
    assert call(channel, "ModelReady", published.ModelReadyRequest(name="means", version="2")).ready
    server = call(channel, "ServerMetadata", published.ServerMetadataRequest())
    assert {"name": server.name, "version": server.version, "extensions": list(server.extensions)} == client.get(
        "/v2"
    ).json()
    model = call(channel, "ModelMetadata", published.ModelMetadataRequest(name="means"))
    shown = client.get("/v2/models/means").json()
    assert (model.name, list(model.versions), model.platform) == ("means", ["1", "2"], shown["platform"])
    assert [(each.name, each.datatype, list(each.shape)) for each in model.outputs] == [
        (each["name"], each["datatype"], each["shape"]) for each in shown["outputs"]
    ]


def test_inference_gives_the_bits_of_http(both: Both) -> None:
    client, channel = both
    described, part = announced(ROWS)
    text = whole([described], parameters={"binary_data_output": True})
    headers = {"inference-header-content-length": str(len(text))}
    by_http = outputs_of(client.post(INFER, content=text + part, headers=headers))

    answer = call(channel, "ModelInfer", infer_request(id="mine"))

    raw = dict(zip([output.name for output in answer.outputs], answer.raw_output_contents, strict=True))
    assert (answer.model_version, answer.id) == ("1", "mine")
    assert raw["probabilities"] == by_http["probabilities"].tobytes()
    assert np.frombuffer(raw["probabilities"], "<f4").tolist() == [0.75, 0.25, 0.25, 0.75]
    assert raw["label"] == b"\3\0\0\0low\4\0\0\0high"


def test_version_outputs_and_contents_are_heeded(both: Both) -> None:
    _, channel = both
    features = {"name": "features", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [0.25, 0.25]}}

    answer = call(
        channel,
        "ModelInfer",
        infer_request(model_version="2", inputs=[features], raw_input_contents=[], outputs=[{"name": "class_index"}]),
    )

    assert [output.name for output in answer.outputs] == ["class_index"]
    assert answer.raw_output_contents == [(1).to_bytes(8, "little")]


@pytest.mark.parametrize(
    ("name", "request_", "code", "said"),
    [
        ("ModelInfer", infer_request(model_name="nobody"), "NOT_FOUND", "known models: means"),
        ("ModelInfer", infer_request(model_version="9"), "NOT_FOUND", "means"),
        ("ModelInfer", infer_request(model_version="x"), "INVALID_ARGUMENT", "version"),
        ("ModelInfer", infer_request(model_name="means/ready"), "INVALID_ARGUMENT", "without a slash"),
        ("ModelInfer", infer_request(raw_input_contents=[b"abc"]), "INVALID_ARGUMENT", "bytes"),
        ("ModelInfer", infer_request(raw_input_contents=[b"", b""]), "INVALID_ARGUMENT", "raw_input_contents"),
        ("ModelReady", published.ModelReadyRequest(name="nobody"), "NOT_FOUND", "known models: means"),
        ("ModelMetadata", published.ModelMetadataRequest(name="nobody"), "NOT_FOUND", "known models: means"),
        ("ModelMetadata", published.ModelMetadataRequest(name="stats"), "NOT_FOUND", "called stats"),
        ("RepositoryIndex", published.RepositoryIndexRequest(), "UNIMPLEMENTED", ""),
    ],
)
def test_error_has_the_code_of_grpc_and_the_words_of_http(
    both: Both, name: str, request_: Any, code: str, said: str
) -> None:
    found, words = refusal(both[1], name, request_)

    assert found.name == code
    assert said in words


def test_body_above_the_limit_is_refused(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with served(settings_in(tmp_path, max_body_bytes=1024)) as (_, channel):
        code, words = refusal(channel, "ModelInfer", infer_request(raw_input_contents=[bytes(2048)]))
        assert (code.name, "1024" in words) == ("RESOURCE_EXHAUSTED", True)
        code, _ = refusal(channel, "ModelInfer", infer_request(raw_input_contents=[bytes(1 << 20)]))
        assert code.name == "RESOURCE_EXHAUSTED"


def test_key_comes_as_metadata(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    file = KeyFile(tmp_path / "keys.json")
    secret = file.create(frozenset((Scope.PREDICT,)), None, "")
    with served(settings_in(tmp_path, keys_file=file.path)) as (_, channel):
        assert call(channel, "ServerLive", published.ServerLiveRequest()).live
        assert refusal(channel, "ModelInfer", infer_request())[0].name == "UNAUTHENTICATED"
        wrong = (("authorization", "Bearer wrong"),)
        assert refusal(channel, "ModelInfer", infer_request(), metadata=wrong)[0].name == "UNAUTHENTICATED"
        right = (("authorization", f"Bearer {secret}"),)
        assert call(channel, "ModelInfer", infer_request(), metadata=right).model_name == "means"
        code, words = refusal(channel, "ModelInfer", infer_request(), metadata=right * 2)
        assert (code.name, "may come once" in words) == ("INVALID_ARGUMENT", True)


def begun(channel: Any, end: threading.Event, *messages: bytes, **options: Any) -> Any:
    """Begin a call that sends these messages and does not end before `end`; return its answer to come."""

    def send() -> Iterator[bytes]:
        yield from messages
        end.wait(120)

    return channel.stream_unary(f"/{SERVICE}/ModelInfer").future(send(), timeout=120, **options)


def test_caller_without_a_key_is_refused_before_a_message_arrives(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    file, end = KeyFile(tmp_path / "keys.json"), threading.Event()
    file.create(frozenset((Scope.PREDICT,)), None, "")
    with served(settings_in(tmp_path, keys_file=file.path)) as (_, channel):
        assert begun(channel, end).exception(120).code().name == "UNAUTHENTICATED"
        end.set()


@pytest.mark.parametrize("message", [b"\xff" * 50, b"\x0a\x02\xff\xfe"])
def test_message_that_is_none_of_the_protocol_is_refused(both: Both, message: bytes) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        both[1].unary_unary(f"/{SERVICE}/ModelInfer")(message, timeout=120)
    assert caught.value.code().name == "INVALID_ARGUMENT"
    assert "ModelInferRequest" in caught.value.details()


def test_calls_that_are_refused_before_they_are_requests_are_logged_counted_and_limited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = [infer_request(raw_input_contents=[b"", b""]), infer_request(model_name="a/b")]
    twice = (("x-request-id", "mine"), ("x-request-id", "mine"))
    with served(settings_in(tmp_path, access_log=True, rate_per_s=0.001, rate_burst=3)) as (client, channel):
        found = [refusal(channel, "ModelInfer", request)[0].name for request in wrong]
        found.append(refusal(channel, "ModelInfer", infer_request(), metadata=twice)[0].name)
        code, words = refusal(channel, "ModelInfer", wrong[0])
        metrics: ServingMetrics = client.app.metrics  # type: ignore[attr-defined]
        until(
            lambda: count(metrics, REQUESTS, route="unmatched", method="other", code="429") == 1, "the last is counted"
        )
        assert count(metrics, REQUESTS, route="unmatched", method="other", code="404") == 3

    assert found == ["INVALID_ARGUMENT"] * 3
    assert (code.name, "requests" in words) == ("RESOURCE_EXHAUSTED", True)
    logged = [record for record in caplog.records if getattr(record, "path", "") == f"/{SERVICE}/ModelInfer"]
    assert [record.__dict__["status"] for record in logged] == [404, 404, 404, 429]
    assert logged[2].__dict__["request_id"] == "mine"


def test_body_of_a_refused_call_is_not_kept(both: Both) -> None:
    for _ in range(3):
        refusal(both[1], "ModelInfer", infer_request(model_name="unknown"))

    until(  # the answer is sent before the last of the call is let go
        lambda: not [each for each in gc.get_objects() if isinstance(each, TranslatedBody)], "no body is kept"
    )


def test_id_and_receipts_pass_through_metadata_and_calls_count_as_requests(both: Both) -> None:
    client, channel = both
    method = channel.unary_unary(
        f"/{SERVICE}/ModelInfer", published.ModelInferRequest.SerializeToString, published.ModelInferResponse.FromString
    )

    answer, info = method.with_call(
        infer_request(), metadata=(("x-request-id", "from-grpc"), ("x-prediction-receipt", "1"), ("other", "x"))
    )

    assert ("x-request-id", "from-grpc") in [(each.key, each.value) for each in info.trailing_metadata()]
    assert "receipt" in [output.name for output in answer.outputs]
    counted = 'tabserve_http_requests_total{route="/v2/models/{model}/infer",method="POST",code="200"}'
    until(lambda: counted in client.get("/metrics").text, "it is counted, which comes after the answer")


def test_deadline_of_the_call_is_that_of_the_request_and_its_end_cancels_it(tmp_path: Path) -> None:
    async def scene() -> tuple[int, str]:
        told: list[bytes] = []
        arrived, cancelled = asyncio.Event(), asyncio.Event()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            told.extend(value for name, value in scope["headers"] if name == b"x-request-timeout-ms")
            if told:
                await send({"type": "http.response.start", "status": 504, "headers": []})
                return
            await receive()
            arrived.set()
            try:
                await receive()
            finally:
                cancelled.set()

        server = GrpcServer(app, settings_in(tmp_path), 0, dict)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            live = channel.unary_unary(f"/{SERVICE}/ServerLive")
            waiting = live(b"")
            await arrived.wait()
            waiting.cancel()
            await cancelled.wait()
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await live(b"", timeout=50)
            await server.stop(0)
        return int(told[0]), late.value.code().name

    timeout_ms, code = asyncio.run(scene())

    assert 0 < timeout_ms < 51_000  # gRPC rounds up
    assert code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::1%eth0"),
        ("unix:/tmp/x", ""),
    ],
)
def test_address_of_a_peer(peer: str, address: str) -> None:
    assert client_address(peer) == address
