"""OpenAPI schemas of prediction requests: rows, and what a version can answer beside."""

from __future__ import annotations

import copy

from app.api.schemas.common import Document
from app.receipts import ID_CHARACTERS
from modelstore import Manifest

_EXPLAIN: Document = {
    "description": "answer also what each column contributes to the label's probability, or to the value",
    "oneOf": [
        {"type": ["boolean", "null"]},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "class": {"type": "string", "description": "class to explain instead of the label of each row"},
                "top": {"type": "integer", "minimum": 1, "description": "answer only so many, the largest ones"},
                "confidence_below": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 1,
                    "description": "explain only rows whose label has a smaller probability",
                },
            },
        },
    ],
}


_CONFIDENCE: Document = {
    "type": ["number", "null"],
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 1,
    "description": "answer also the set of classes, or the interval, that holds the truth of this share of rows",
}
_ABSTAIN: Document = {
    "description": "when nothing is decided for a row; false for never, whatever the version says",
    "oneOf": [
        {"enum": [False, None]},
        {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "below": {
                    "type": ["number", "null"],
                    "exclusiveMinimum": 0,
                    "maximum": 1,
                    "description": "where the label has a smaller probability",
                },
                "confidence": {
                    "type": ["number", "null"],
                    "exclusiveMinimum": 0,
                    "exclusiveMaximum": 1,
                    "description": "where the set of this level does not hold exactly one class; of a quantity, the "
                    "level of `wider`",
                },
                "wider": {
                    "type": ["number", "null"],
                    "exclusiveMinimum": 0,
                    "description": "where the interval of the level `confidence` is wider, in the unit of the target",
                },
                "out_of_range": {
                    "type": ["boolean", "null"],
                    "description": "where a value is unseen, outside the training range, or missing in a column that "
                    "had no gaps in training",
                },
            },
        },
    ],
}


_IDS: Document = {
    "type": ["array", "null"],
    "minItems": 1,
    "items": {"type": ["string", "integer", "null"], "minLength": 1, "maxLength": ID_CHARACTERS},
    "description": "your own id of each row, by which its label can be sent later; if the service keeps ids",
}


OPTIONS: Document = {"explain": _EXPLAIN, "confidence": _CONFIDENCE, "abstain": _ABSTAIN, "ids": _IDS}


def options_of(manifest: Manifest) -> Document:
    """Return the schemas of what a request may ask of this version beside its answers."""
    options: Document = {"ids": _IDS}
    if manifest.background:
        form = copy.deepcopy(_EXPLAIN)
        properties = form["oneOf"][1]["properties"]
        if manifest.classes:
            properties["class"]["enum"] = [*manifest.classes]
        else:
            del properties["class"], properties["confidence_below"]
        options["explain"] = form
    if manifest.conformal:
        options["confidence"] = _CONFIDENCE
    options["abstain"] = form = copy.deepcopy(_ABSTAIN)
    unfit = {"wider" if manifest.classes else "below"} | (set() if manifest.conformal else {"wider", "confidence"})
    for name in unfit:
        del form["oneOf"][1]["properties"][name]
    return options


def instances(row: Document, options: Document = OPTIONS, **fields: Document) -> Document:
    """Return the schema of a prediction request whose rows have the schema `row`; it may ask for the options."""
    rows = {"type": "array", "minItems": 1, "items": row}
    version = {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 999_999_999,
        "description": "version to use instead of the active one",
    }
    return {
        "type": "object",
        "required": ["instances", *(name for name in fields if name == "model")],
        "additionalProperties": False,
        "properties": {"instances": rows, "version": version, **options, **fields},
    }


_TOO_LARGE = 3.4028235677973366e38  # the smallest number that rounds to infinity in float32
NUMBER: Document = {"type": "number", "exclusiveMinimum": -_TOO_LARGE, "exclusiveMaximum": _TOO_LARGE}
ANY_ROW: Document = {
    "oneOf": [
        {"type": "array", "items": NUMBER, "minItems": 1, "description": "values in feature order"},
        {"type": "object", "additionalProperties": NUMBER, "minProperties": 1, "description": "values by feature name"},
    ]
}
