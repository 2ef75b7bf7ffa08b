"""The rules of the protocol over REST."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import httpx

from tabserve.conformance.answers import read_answer
from tabserve.conformance.rules import REST, CannotCheck, Rule, RuleBroken, require
from tabserve.conformance.tensors import flat, require_metadata, require_output, typical_request

UNKNOWN = "conformance-no-such-model"

_OK = 200


class RestRules:
    """The rules, for one server and one of its models."""

    def __init__(self, client: httpx.Client, model: str, request: Mapping[str, Any] | None = None) -> None:
        """Create the rules.

        Args:
            client: asks the server; its base URL is the server's.
            model: name of a model that serves.
            request: an inference request that the model can answer; None if its metadata tell how to make one.
        """
        self._client = client
        self._path = f"/v2/models/{model}"
        self._model = model
        self._given = request

    def rules(self) -> list[Rule]:
        """Return the rules in the order of the specification."""
        told = [
            ("server live", "GET v2/health/live answers 200", "Server Live", self._live),
            ("server ready", "GET v2/health/ready answers 200 when all models can answer", "Server Ready", self._ready),
            ("server metadata", "GET v2 answers name, version and extensions", "Server Metadata", self._server),
            ("model ready", "GET v2/models/M/ready answers 200 if M can answer", "Model Ready", self._model_ready),
            ("version ready", "GET .../versions/V/ready answers 200 if V can", "Model Ready", self._version_ready),
            ("unknown model not ready", "another status for a model that is none", "Model Ready", self._unknown_ready),
            ("model metadata", "name, platform, and inputs and outputs with datatypes and shapes", "Model Metadata",
             self._metadata),
            ("version metadata", "the metadata of a version name the model", "Model Metadata", self._version_metadata),
            ("unknown model has no metadata", 'status 4xx and {"error": ...}', "Model Metadata", self._no_metadata),
            ("inference", "outputs with name, datatype, shape and as many values as it holds", "Inference",
             self._inference),
            ("id", "the answer has the id of the request", "Inference", self._request_id),
            ("version named", "POST .../versions/V/infer answers with V", "Inference", self._version_infer),
            ("outputs named", "only the outputs that the request names are answered", "Inference", self._outputs),
            ("nested data", "data may be nested in the tensor's shape", "Tensor Data", self._nested),
            ("malformed JSON", 'status 400 and {"error": ...}', "Inference Response JSON Error Object", self._no_json),
            ("no inputs", 'status 4xx and {"error": ...}', "Inference Response JSON Error Object", self._no_inputs),
            ("shape and data differ", 'status 4xx and {"error": ...}', "Tensor Data", self._wrong_shape),
            ("unknown datatype", 'status 4xx and {"error": ...}', "Tensor Data Types", self._wrong_datatype),
            ("unknown output", 'status 4xx and {"error": ...}', "Inference Response JSON Error Object",
             self._wrong_output),
            ("unknown model", 'status 4xx and {"error": ...}', "Inference Response JSON Error Object",
             self._wrong_model),
        ]  # fmt: skip
        return [Rule(name, says, f"{REST}: {section}", check) for name, says, section, check in told]

    def _live(self) -> None:
        _require_ok(self._get("/v2/health/live"))

    def _ready(self) -> None:
        _require_ok(self._get("/v2/health/ready"))

    def _server(self) -> None:
        found = _json(self._get("/v2"))
        require(all(isinstance(found.get(name), str) for name in ("name", "version")), "name and version must be texts")
        extensions = found.get("extensions")
        require(
            isinstance(extensions, list) and all(isinstance(each, str) for each in extensions),
            "extensions must be an array of texts",
        )

    def _model_ready(self) -> None:
        _require_ok(self._get(f"{self._path}/ready"))

    def _version_ready(self) -> None:
        _require_ok(self._get(f"{self._path}/versions/{self._version}/ready"))

    def _unknown_ready(self) -> None:
        status = self._get(f"/v2/models/{UNKNOWN}/ready").status_code
        require(status != _OK, "a model that does not exist is ready")

    def _metadata(self) -> None:
        found = self._model_metadata
        require(found.get("name") == self._model, f"the name must be {self._model}, got {found.get('name')!r}")
        require(isinstance(found.get("platform"), str), "platform must be a text")
        versions = found.get("versions", [])
        require(isinstance(versions, list) and all(isinstance(v, str) for v in versions), "versions must be texts")
        for what in ("inputs", "outputs"):
            require_metadata(found.get(what, []), what)

    def _version_metadata(self) -> None:
        found = _json(self._get(f"{self._path}/versions/{self._version}"))
        require(found.get("name") == self._model, f"the name must be {self._model}, got {found.get('name')!r}")

    def _no_metadata(self) -> None:
        _require_error(self._get(f"/v2/models/{UNKNOWN}"))

    def _inference(self) -> None:
        found = self._answer
        require(found.get("model_name") == self._model, f"model_name must be {self._model}")
        require(found.get("outputs"), "outputs must be an array of at least one")
        for output in found["outputs"]:
            require_output(output)

    def _request_id(self) -> None:
        found = self._infer({**self._request, "id": "conformance-1"})
        require(found.get("id") == "conformance-1", f"the id must be that of the request, got {found.get('id')!r}")

    def _version_infer(self) -> None:
        found = _json(self._post(f"{self._path}/versions/{self._version}/infer", json=self._request))
        said = found.get("model_version", self._version)
        require(said == self._version, f"model_version must be {self._version}, got {said!r}")

    def _outputs(self) -> None:
        names = [output["name"] for output in self._answer.get("outputs", [])]
        if len(names) < 2:
            raise CannotCheck("the model has one output")
        found = self._infer({**self._request, "outputs": [{"name": names[-1]}]})
        got = [output.get("name") for output in found.get("outputs", [])]
        require(got == [names[-1]], f"only {names[-1]} was asked for, got {', '.join(map(str, got))}")

    def _nested(self) -> None:
        request = copy.deepcopy(dict(self._request))
        for tensor in request["inputs"]:
            tensor["data"] = _nest(flat(tensor["data"]), tensor["shape"])
        found, usual = self._infer(request), self._answer
        require(_values(found) == _values(usual), "nested data give other values than flat ones")

    def _no_json(self) -> None:
        response = self._post(f"{self._path}/infer", content=b'{"inputs": [', headers={"content-type": _JSON_TYPE})
        _require_error(response)

    def _no_inputs(self) -> None:
        _require_error(self._post(f"{self._path}/infer", json={}))

    def _wrong_shape(self) -> None:
        request = copy.deepcopy(dict(self._request))
        request["inputs"][0]["shape"] = [size + 1 for size in request["inputs"][0]["shape"]]
        _require_error(self._post(f"{self._path}/infer", json=request))

    def _wrong_datatype(self) -> None:
        request = copy.deepcopy(dict(self._request))
        request["inputs"][0]["datatype"] = "FP31"
        _require_error(self._post(f"{self._path}/infer", json=request))

    def _wrong_output(self) -> None:
        _require_error(self._post(f"{self._path}/infer", json={**self._request, "outputs": [{"name": UNKNOWN}]}))

    def _wrong_model(self) -> None:
        _require_error(self._post(f"/v2/models/{UNKNOWN}/infer", json=self._request))

    @cached_property
    def _model_metadata(self) -> dict[str, Any]:
        return _json(self._get(self._path))

    @cached_property
    def _request(self) -> Mapping[str, Any]:
        return typical_request(self._model_metadata) if self._given is None else self._given

    @cached_property
    def _answer(self) -> dict[str, Any]:
        return self._infer(self._request)

    @property
    def _version(self) -> str:
        versions = self._model_metadata.get("versions") or []
        if not versions:
            raise CannotCheck("the model's metadata name no version")
        return str(versions[-1])

    def _infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return _json(self._post(f"{self._path}/infer", json=request))

    def _get(self, path: str) -> httpx.Response:
        return self._send("GET", path)

    def _post(self, path: str, **content: Any) -> httpx.Response:
        return self._send("POST", path, **content)

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a request; once more if the server closed the connection after the one before.

        Raises:
            RuleBroken: if it is closed again, or the answer has no end.
            ServiceUnreachable.
        """
        for attempt in range(2):
            try:
                return read_answer(self._client, method, path, **content)
            except httpx.TransportError as error:
                if attempt:
                    raise RuleBroken(f"no answer: {str(error) or type(error).__name__}") from error
        raise AssertionError("unreachable")


_JSON_TYPE = "application/json"


def _require_ok(response: httpx.Response) -> None:
    require(response.status_code == _OK, f"status {response.status_code} in place of 200: {response.text[:200]}")


def _require_error(response: httpx.Response) -> None:
    status = response.status_code
    require(400 <= status < 500, f"status {status} in place of 4xx")
    try:
        document = response.json()
    except ValueError:
        document = None
    said = isinstance(document, dict) and isinstance(document.get("error"), str) and document["error"]
    require(said, f'the answer must be {{"error": "..."}}, got {response.text[:120]}')


def _json(response: httpx.Response) -> dict[str, Any]:
    _require_ok(response)
    kind = response.headers.get("content-type", "").split(";")[0]
    require(kind == _JSON_TYPE, f"the content type must be {_JSON_TYPE}, got {kind or 'none'}")
    try:
        document = response.json()
    except ValueError as error:
        raise RuleBroken(f"the answer is no JSON: {error}") from error
    require(isinstance(document, dict), "the answer must be an object")
    found: dict[str, Any] = document
    return found


def _nest(values: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) <= 1:
        return values
    size = math.prod(shape[1:])
    return [_nest(values[start : start + size], shape[1:]) for start in range(0, len(values), size)]


def _values(answer: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {output["name"]: flat(output["data"]) for output in answer.get("outputs", [])}
