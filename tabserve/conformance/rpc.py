"""The rules of the protocol over gRPC; they need the extra grpc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from tabserve.conformance.rest import UNKNOWN
from tabserve.conformance.rules import GRPC, CannotCheck, Rule, RuleBroken, require
from tabserve.conformance.tensors import flat, require_metadata, typical_request
from tabserve.errors import ServiceUnreachable
from tabserve.late import load_optional

TIMEOUT_S = 30.0

_SERVICE = "/inference.GRPCInferenceService"
_CONTENTS = {
    "BOOL": "bool_contents",
    **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
    **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class GrpcRules:
    """The rules, for one server and one of its models."""

    def __init__(
        self, address: str, model: str, request: Mapping[str, Any] | None = None, key: str | None = None
    ) -> None:
        """Create the rules.

        Args:
            address: host and port.
            model: name of a model that serves.
            request: an inference request that the model can answer, as JSON of the REST form; None if its metadata
                tell how to make one.
            key: sent as a bearer token.

        Raises:
            MissingExtra.
        """
        self._grpc: Any = load_optional("grpc", "tabserve[grpc]", "gRPC")
        self._messages: Any = load_optional("app.server.rpc.open_inference_pb2", "tabserve[grpc]", "gRPC")
        self._channel = self._grpc.insecure_channel(address)
        self._address = address
        self._model = model
        self._given = request
        self._credentials = (("authorization", f"Bearer {key}"),) if key else ()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def rules(self) -> list[Rule]:
        """Return the rules in the order of the specification."""
        told: list[tuple[str, str, str, Callable[[], None]]] = [
            ("gRPC server live", "ServerLive answers live", "Health", self._live),
            ("gRPC server ready", "ServerReady answers ready when all models can answer", "Health", self._ready),
            ("gRPC model ready", "ModelReady answers ready if the model can answer", "Health", self._model_ready),
            ("gRPC server metadata", "ServerMetadata has name and version", "Server Metadata", self._server),
            ("gRPC model metadata", "ModelMetadata has name, platform and tensors", "Model Metadata", self._metadata),
            ("gRPC unknown model", "ModelMetadata ends with an error", "Model Metadata", self._no_metadata),
            ("gRPC inference", "as many contents as outputs, raw or typed", "Inference", self._infer),
            ("gRPC id", "the answer has the id of the request", "Inference", self._request_id),
            ("gRPC raw and typed contents", "a request with both ends with an error", "Inference", self._both_contents),
        ]
        return [Rule(name, says, f"{GRPC}: {section}", check) for name, says, section, check in told]

    def _live(self) -> None:
        require(self._call("ServerLive").live, "live is false")

    def _ready(self) -> None:
        require(self._call("ServerReady").ready, "ready is false")

    def _model_ready(self) -> None:
        require(self._call("ModelReady", name=self._model).ready, "ready is false")

    def _server(self) -> None:
        found = self._call("ServerMetadata")
        require(found.name and found.version, "name and version must not be empty")

    def _metadata(self) -> None:
        found = self._model_metadata
        require(found.name == self._model, f"the name must be {self._model}, got {found.name!r}")
        require(found.platform, "platform must not be empty")
        for what in ("inputs", "outputs"):
            require_metadata(_describe(getattr(found, what)), what)

    def _no_metadata(self) -> None:
        self._require_error("ModelMetadata", name=UNKNOWN)

    def _infer(self) -> None:
        found = self._call("ModelInfer", **self._request())
        require(found.model_name == self._model, f"model_name must be {self._model}, got {found.model_name!r}")
        require(found.outputs, "there are no outputs")
        raw, typed = len(found.raw_output_contents), sum(each.HasField("contents") for each in found.outputs)
        outputs = len(found.outputs)
        require(
            (raw, typed) in ((outputs, 0), (0, outputs)), f"{outputs} outputs, {raw} raw and {typed} typed contents"
        )

    def _request_id(self) -> None:
        found = self._call("ModelInfer", **self._request(), id="conformance-1")
        require(found.id == "conformance-1", f"the id must be that of the request, got {found.id!r}")

    def _both_contents(self) -> None:
        self._require_error("ModelInfer", **self._request(), raw_input_contents=[b""])

    @cached_property
    def _model_metadata(self) -> Any:
        return self._call("ModelMetadata", name=self._model)

    def _request(self) -> dict[str, Any]:
        """Return the fields of an inference request with typed contents."""
        given = self._given or typical_request({"inputs": _describe(self._model_metadata.inputs)})
        return {"model_name": self._model, "inputs": [_tensor(each) for each in given["inputs"]]}

    def _call(self, name: str, /, **fields: Any) -> Any:
        """Return the answer to a call.

        Raises:
            RuleBroken: if it ends with an error.
        """
        try:
            return self._send(name, fields)
        except self._grpc.RpcError as error:
            raise RuleBroken(f"{name} ended with {error.code().name}: {error.details()}") from error

    def _require_error(self, name: str, /, **fields: Any) -> None:
        codes = self._grpc.StatusCode
        try:
            self._send(name, fields)
        except self._grpc.RpcError as error:
            unwanted = (codes.INTERNAL, codes.UNKNOWN, codes.UNIMPLEMENTED)
            require(error.code() not in unwanted, f"{name} ended with {error.code().name}: {error.details()}")
        else:
            raise RuleBroken(f"{name} was answered")

    def _send(self, name: str, fields: Mapping[str, Any]) -> Any:
        request = getattr(self._messages, f"{name}Request")(**fields)
        answer = getattr(self._messages, f"{name}Response")
        method = self._channel.unary_unary(f"{_SERVICE}/{name}", type(request).SerializeToString, answer.FromString)
        try:
            return method(request, timeout=TIMEOUT_S, metadata=self._credentials)
        except self._grpc.RpcError as error:
            if error.code() is self._grpc.StatusCode.UNAVAILABLE and "connect" in (error.details() or "").lower():
                raise ServiceUnreachable(self._address, error.details()) from error
            raise


def _describe(tensors: Any) -> list[dict[str, Any]]:
    return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in tensors]


def _tensor(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tensor of the REST form with typed contents.

    Raises:
        CannotCheck: if its datatype has none.
    """
    datatype, values = given["datatype"], flat(given["data"])
    if datatype not in _CONTENTS:
        raise CannotCheck(f"{datatype} has no typed contents")
    values = [value.encode() for value in values] if datatype == "BYTES" else values
    return {
        "name": given["name"],
        "datatype": datatype,
        "shape": given["shape"],
        "contents": {_CONTENTS[datatype]: values},
    }
