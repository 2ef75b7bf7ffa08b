"""OpenAPI schemas of bodies that routes read or write as bytes, without pydantic models."""

from __future__ import annotations

from typing import Any

from app.datasets.errors import StorageFull
from app.errors import (
    Conflict,
    InvalidInput,
    MalformedBody,
    NotFound,
    Overloaded,
    ServingError,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)

Document = dict[str, Any]

PROBLEM_TYPE = "application/problem+json"

_ERRORS: tuple[type[ServingError], ...] = (
    MalformedBody,
    NotFound,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    InvalidInput,
    Overloaded,
    Unavailable,
    StorageFull,
)
_MEANINGS: dict[int, str] = {error.status: error.meaning for error in _ERRORS}


def problems(*codes: int) -> dict[int | str, Document]:
    """Return the `responses` of a route for these status codes, all with the schema `Problem`."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": _MEANINGS[code], "content": content} for code in codes}


def json_body(schema: Document, **examples: Document) -> Document:
    """Return the `openapi_extra` of a route that reads its JSON body itself."""
    content: Document = {"schema": schema}
    if examples:
        content["examples"] = {name: {"summary": name, "value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def rows_body(schema: Document) -> Document:
    """Return the `openapi_extra` of a route that takes rows as JSON or in one of the streaming formats."""
    body = json_body(schema)
    body["requestBody"]["content"] |= dict.fromkeys((*BULK_TYPES, "text/tab-separated-values"), _BYTES)
    return body


def without_null(schema: Document) -> None:
    """Remove null from the schema of an optional query parameter, because a query cannot express null."""
    (kept,) = (kind for kind in schema.pop("anyOf") if kind != {"type": "null"})
    schema.update(kept)


def header(name: str, description: str, pattern: str | None = None) -> Document:
    """Return the OpenAPI parameter of a header that a route reads itself."""
    schema: Document = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


RECEIPT = header(
    "X-Prediction-Receipt",
    "`1`: each row gets a receipt, by which its label can be sent later; `0`: none does; else as the version says",
    "^[01]$",
)


def links(parameter: str, value: str, **operations: str) -> Document:
    """Return the `links` of a response to operations on the object that it describes.

    Args:
        parameter: path parameter of all these operations.
        value: runtime expression for its value, such as `$response.body#/id`.
        operations: name of each link to the id of its operation.
    """
    return {
        name: {"operationId": operation, "parameters": {parameter: value}} for name, operation in operations.items()
    }


def file_body(**examples: str) -> Document:
    """Return the `openapi_extra` of a route whose body is a file, whatever its content type; examples are CSV."""
    named = {name: {"summary": name, "value": value} for name, value in examples.items()}
    content = {"*/*": _BYTES, "text/csv": {"schema": {"type": "string"}, "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


COMPONENTS: Document = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details: the error body of all routes outside /v2",
        "required": ["type", "title", "status", "detail", "errors", "request_id"],
        "properties": {
            "type": {"type": "string", "description": "stable identifier of the kind of problem"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what was expected, what was received, what to do"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["row", "feature", "problem"],
                    "properties": {
                        "row": {
                            "type": ["integer", "null"],
                            "description": "index of the row, from 0; in CSV and NDJSON the line, from 1",
                        },
                        "feature": {"type": ["string", "null"], "description": "name of the feature, column or field"},
                        "problem": {"type": "string"},
                    },
                },
            },
            "request_id": {"type": "string"},
        },
    },
    "Warning": {
        "type": "object",
        "description": "a value that is outside the training range, `missing` in a column that had no gaps in "
        "training, or `unseen`: not among the categories, as it was in no training row or in few; the row still has a "
        "prediction",
        "required": ["row", "feature", "value"],
        "properties": {
            "row": {"type": "integer"},
            "feature": {"type": "string"},
            "value": {"type": ["number", "string"], "description": "a number, a date, `missing` or `unseen`"},
            "range": {"type": "array", "items": {"type": ["number", "string"]}, "minItems": 2, "maxItems": 2},
        },
    },
    "Prediction": {
        "type": "object",
        "required": ["label", "probability", "probabilities"],
        "properties": {
            "label": {"type": "string"},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "probabilities": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
            "decision": {
                "type": ["string", "number", "null"],
                "description": "what chose the label, if it is not the most probable class; of a request or version "
                "that may abstain, the class or value that is decided, null if none is",
            },
            "abstained": {
                "enum": ["out_of_range", "low_confidence", "empty_set", "ambiguous_set", "wide_interval"],
                "description": "why nothing is decided",
            },
            "set": {"type": "array", "items": {"type": "string"}, "description": "classes, if a confidence is wanted"},
            "interval": {
                "type": "array",
                "items": {"type": ["number", "null"]},
                "minItems": 2,
                "maxItems": 2,
                "description": "ends of the interval of a quantity, null if it has none",
            },
            "receipt": {"type": "string", "description": "for `POST /feedback`, if `X-Prediction-Receipt` asks for it"},
            "explanation": {"$ref": "#/components/schemas/Explanation"},
        },
    },
    "Explanation": {
        "type": "object",
        "description": "Shapley values, if the request wants them; base and contributions add up to the probability",
        "required": ["method", "base", "contributions"],
        "properties": {
            "method": {"enum": ["shapley-exact", "shapley-permutation"]},
            "class": {"type": "string", "description": "class whose probability is explained"},
            "value": {"type": "number", "description": "the quantity that is explained"},
            "base": {"type": "number", "description": "mean answer over the background rows"},
            "contributions": {"type": "object", "additionalProperties": {"type": "number"}},
            "other_contributions": {"type": "number", "description": "sum of those that are not among the largest"},
            "standard_errors": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    },
    "PredictAnswer": {
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "guarantee": {
                "enum": ["marginal", "class", "approximate"],
                "description": "what is known of how often sets or intervals hold the truth, see docs/trust.md",
            },
            "reason": {"type": "string", "description": "why sets leave out no class, or intervals have no ends"},
            "policy": {"type": "string", "description": "how the version chooses labels, where it may abstain"},
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
            "warnings": {"type": "array", "items": {"$ref": "#/components/schemas/Warning"}},
            "warnings_omitted": {"type": "integer", "description": "number of further warnings"},
        },
    },
}
# Streaming formats; docs/api.md describes them.
BULK_TYPES = (
    "text/csv",
    "application/x-ndjson",
    "application/jsonl",
    "application/ndjson",
    "application/vnd.apache.arrow.stream",
    "application/vnd.tabserve.float32",
)
_BYTES: Document = {"schema": {"type": "string", "format": "binary"}}
PREDICT_ANSWER: Document = {
    "description": "Predictions in row order",
    "headers": {
        "X-Blank-Lines": {
            "description": "number of ignored blank lines in a body that is checked as a whole, if there were any",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/PredictAnswer"}},
        **dict.fromkeys(BULK_TYPES, _BYTES),
    },
}
