"""The calls of the protocol: each sends a request to the app and returns its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
import orjson
from google.protobuf.message import DecodeError

from app.server.rpc import open_inference_pb2 as messages
from app.server.rpc.receiving import MessageLate, Receiver
from app.server.rpc.request import App, AppRequest, AppResponse, ask
from app.server.rpc.translation import TranslatedBody, WrongMessage, infer_body, infer_response, model_path

SERVICE = "inference.GRPCInferenceService"

Context: TypeAlias = Any  # grpc.aio.ServicerContext, which has no types
Reply: TypeAlias = Any  # a message of open_inference.proto
Recognise = Callable[[Mapping[bytes, bytes]], object | None]
"""Returns something if a caller with these headers may predict; see `RequestAdmission.recognise`."""

_PASSED_ON = ("authorization", "traceparent", "tracestate", "x-prediction-receipt", "x-request-id")
"""Metadata of a call that become headers of the request; others mean nothing to this service."""
_RETURNED = (b"x-request-id", b"retry-after")  # headers of the response that become trailing metadata
_MOST_MS = 999_999_999
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_METADATA_FIELDS = frozenset(field.name for field in messages.ModelMetadataResponse.DESCRIPTOR.fields)


class CallFailed(Exception):
    """A call ends with an error; the text says which."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(words)
        self.code = code


class Calls:
    """The calls, for one app; a message is received only if it says something, and the caller may predict."""

    def __init__(self, app: App, recognise: Recognise, receiver: Receiver) -> None:
        self._app, self._recognise, self._receiver = app, recognise, receiver

    def handlers(self) -> Any:
        """Return the calls as grpcio wants them; as streams, because it receives other messages before it calls."""
        calls = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
        }
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(self._ended(name, call), None, _serialize)
            for name, call in calls.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def server_live(self, context: Context) -> Reply:
        """Report that the process is alive."""
        return messages.ServerLiveResponse(live=await self._holds("/v2/health/live", context))

    async def server_ready(self, context: Context) -> Reply:
        """Answer whether every model can answer."""
        return messages.ServerReadyResponse(ready=await self._holds("/v2/health/ready", context))

    async def model_ready(self, context: Context) -> Reply:
        """Answer whether a model or version can answer."""
        request = await self._receive(messages.ModelReadyRequest, context)
        path = model_path(request.name, request.version)
        return messages.ModelReadyResponse(ready=await self._holds(f"{path}/ready", context))

    async def server_metadata(self, context: Context) -> Reply:
        """Answer name, version and extensions of this server."""
        return messages.ServerMetadataResponse(**await self._document("/v2", context))

    async def model_metadata(self, context: Context) -> Reply:
        """Answer names, datatypes and shapes of a model's tensors."""
        request = await self._receive(messages.ModelMetadataRequest, context)
        found = await self._document(model_path(request.name, request.version), context)
        if "name" not in found:  # GET /v2/models/stats has the statistics of all models
            raise CallFailed(
                grpc.StatusCode.NOT_FOUND, f"the metadata of a model called {request.name} cannot be shown"
            )
        return messages.ModelMetadataResponse(**{name: found[name] for name in _METADATA_FIELDS & found.keys()})

    async def model_infer(self, context: Context) -> Reply:
        """Answer the rows of a request."""
        path, body = await self._infer_request(context)
        response = await self._ask(f"{path}/infer", context, body)
        if response.status != HTTPStatus.OK:
            raise _failure(response)
        return infer_response(response.headers, response.body)

    async def _infer_request(self, context: Context) -> tuple[str, TranslatedBody]:
        """Receive a request; return the path of what it asks, and its body, but not the message, which is as large."""
        request = await self._receive(messages.ModelInferRequest, context)
        return model_path(request.model_name, request.model_version), infer_body(request)

    async def _receive(self, kind: Any, context: Context) -> Any:
        """Return the message of a call; a caller that may not predict gets the app's refusal before it arrives."""
        if self._recognise(dict(_headers(context))) is None:
            await self._document("/v2", context)
        try:
            return kind.FromString(await self._receiver.receive(context))
        except DecodeError as error:
            raise WrongMessage(f"the message must be a {kind.DESCRIPTOR.name} of open_inference.proto") from error

    async def _holds(self, path: str, context: Context) -> bool:
        """Request a probe, and return whether its status is 200 rather than 503."""
        response = await self._ask(path, context)
        if response.status not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
            raise _failure(response)
        return response.status == HTTPStatus.OK

    async def _document(self, path: str, context: Context) -> dict[str, Any]:
        response = await self._ask(path, context)
        if response.status != HTTPStatus.OK:
            raise _failure(response)
        document: dict[str, Any] = orjson.loads(response.body)
        return document

    async def _ask(self, path: str, context: Context, body: TranslatedBody | None = None) -> AppResponse:
        """Send a request to the app; the end of the call cancels it."""
        headers = _headers(context)
        if body is None:
            return await self._send("GET", path, headers, context)
        return await self._send("POST", path, headers + body.headers, context, body.data)

    async def _send(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], context: Context, data: bytes = b""
    ) -> AppResponse:
        request = AppRequest(method, path, headers, client_address(context.peer()), context.done, data)
        response = await ask(self._app, request)
        returned = [(name.decode(), response.headers[name]) for name in _RETURNED if name in response.headers]
        context.set_trailing_metadata([(name, value.decode("latin-1")) for name, value in returned])
        return response

    async def _refuse(
        self, name: str, context: Context, code: grpc.StatusCode, words: str
    ) -> tuple[grpc.StatusCode, str]:
        """Have the app log, count and limit a call that it does not get, by a path that no route has.

        Return code and words of the refusal, which are the app's if the caller sends too many requests.
        """
        response = await self._send("POST", f"/{SERVICE}/{name}", _passed_on(context), context)
        if response.status != HTTPStatus.TOO_MANY_REQUESTS:
            return code, words
        failure = _failure(response)
        return failure.code, str(failure)

    def _ended(
        self, name: str, call: Callable[[Context], Awaitable[Reply]]
    ) -> Callable[[Any, Context], Awaitable[Reply | None]]:
        """Return a handler that ends a call with its error; `context.abort` would keep the call's body for ever."""

        async def handle(_messages: Any, context: Context) -> Reply | None:
            """Answer a call; its message is read from the context."""
            try:
                return await call(context)
            except CallFailed as error:
                code, words = error.code, str(error)
            except WrongMessage as error:
                code, words = await self._refuse(name, context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except MessageLate as error:
                code, words = await self._refuse(name, context, grpc.StatusCode.DEADLINE_EXCEEDED, str(error))
            context.set_code(code)
            context.set_details(words)
            return None

        return handle


def client_address(peer: str) -> str:
    """Return the address in what gRPC calls a peer, such as `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    family, _, rest = peer.partition(":")
    return unquote(rest.rpartition(":")[0]).strip("[]") if family.startswith("ipv") else ""


def _headers(context: Context) -> list[tuple[bytes, bytes]]:
    """Return the headers that a call's metadata and deadline stand for; refuse what comes twice."""
    headers = _passed_on(context)
    if len({name for name, _ in headers}) != len(headers):
        raise WrongMessage(f"each of {', '.join(_PASSED_ON)} may come once in the metadata")
    remaining_s = context.time_remaining()
    if remaining_s is not None and remaining_s * 1000 <= _MOST_MS:
        headers.append((b"x-request-timeout-ms", b"%d" % max(1, int(remaining_s * 1000))))
    return headers


def _passed_on(context: Context) -> list[tuple[bytes, bytes]]:
    metadata = context.invocation_metadata() or ()
    return [(key.encode(), value.encode("latin-1")) for key, value in metadata if key in _PASSED_ON]


def _failure(response: AppResponse) -> CallFailed:
    """Return the error that the app answered."""
    try:
        problem = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        problem = {}
    words = problem.get("error") or problem.get("detail") or f"the service answered {response.status}"
    return CallFailed(_CODES.get(response.status, grpc.StatusCode.INTERNAL), words)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
