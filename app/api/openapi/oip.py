"""Schemas of bodies and errors of the Open Inference Protocol for the OpenAPI document."""

from __future__ import annotations

from app.api.schemas.common import Document
from app.api.schemas.oip import Failure
from app.errors import BadRequest, TooLarge
from app.inference.codecs.oip import OUTPUTS
from app.inference.codecs.oip_datatypes import DATATYPES
from app.inference.codecs.oip_fields import MAX_ID_CHARACTERS, MAX_RANK, MAX_TENSORS
from app.inference.errors import RowQueueFull
from app.registry.errors import ModelNotFound, ModelNotReady

_MEANINGS: dict[int, str] = {
    **{error.status: error.meaning for error in (BadRequest, ModelNotFound, TooLarge, RowQueueFull, ModelNotReady)},
    415: "The content type is neither JSON nor binary tensors",
    504: "The timeout of the request expired",
}
_PARAMETERS: Document = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_DATA: Document = {"type": "array", "items": {"type": ["number", "string", "boolean", "array"]}}
_TENSOR: Document = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "maxItems": MAX_RANK, "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": list(DATATYPES)},
        "parameters": _PARAMETERS,
        "data": _DATA,
    },
}
_OUTPUT: Document = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"enum": list(OUTPUTS)}, "parameters": _PARAMETERS},
}
_ANSWERED: Document = {
    **_TENSOR,
    "properties": {
        **_TENSOR["properties"],
        "name": {"enum": list(OUTPUTS)},
        "datatype": {"enum": ["FP32", "INT64", "BYTES"]},
    },
}
_BYTES: Document = {"schema": {"type": "string", "format": "binary"}}
_REQUEST: Document = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "maxLength": MAX_ID_CHARACTERS},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "minItems": 1, "maxItems": MAX_TENSORS, "items": _TENSOR},
        "outputs": {"type": "array", "maxItems": len(OUTPUTS), "items": _OUTPUT},
    },
}
_ANSWER: Document = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "parameters": {
            "type": "object",
            "properties": {
                "decision": {"type": "string", "description": "what chose the labels of a decided version"},
                "policy": {"type": "string", "description": "the same, in an answer that may abstain"},
            },
        },
        "outputs": {"type": "array", "items": _ANSWERED},
    },
}
_EXAMPLE: Document = {
    "inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}],
    "outputs": [{"name": "probabilities"}],
}
INFER_BODY: Document = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REQUEST, "examples": {"iris": {"summary": "iris", "value": _EXAMPLE}}},
            "application/octet-stream": _BYTES,
        },
    }
}
INFER_ANSWER: dict[int | str, Document] = {
    200: {
        "description": "Outputs in row order; binary tensors, if requested, follow the JSON",
        "content": {"application/json": {"schema": _ANSWER}, "application/octet-stream": _BYTES},
    }
}
_FAILURE: Document = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Failure.__name__}"}}}
_INDEX_QUERY = {"type": "object", "properties": {"ready": {"type": "boolean"}}, "additionalProperties": False}
INDEX_BODY: Document = {"requestBody": {"content": {"application/json": {"schema": _INDEX_QUERY}}}}


def failures(*codes: int) -> dict[int | str, Document]:
    """Return the `responses` of a route for these status codes.

    A `default` is included, because without one FastAPI documents its own 422. The schema is referred to, because
    FastAPI builds a validator for each `model`; `Failure` is a component as part of what readiness answers.
    """
    meanings: dict[int | str, str] = {**{code: _MEANINGS[code] for code in codes}, "default": "Any other error"}
    return {code: {"description": meaning, "content": _FAILURE} for code, meaning in meanings.items()}
