"""Describe the columns of a model for the OpenAPI document.

It must not know how rows are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.api.schemas.common import Document
from app.api.schemas.predict import NUMBER
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, Manifest, NumericFeature
from modelstore.dates import DIGITS
from modelstore.typical import typical_row

SHOWN_CATEGORIES = 20


def row_schema(manifest: Manifest) -> Document:
    """Return the schema of one input row of a model, as an array or as an object.

    An object may also carry the target and the columns that the training left out, as a row of its file does.
    """
    examples = typical_row(manifest)
    columns = {feature.name: _column(feature, manifest, examples[feature.name]) for feature in manifest.features}
    ignored = {column.name: {"description": f"ignored: {column.reason}"} for column in manifest.left_out}
    if manifest.target:
        ignored[manifest.target.name] = {"description": "ignored: the target"}
    required = [feature.name for feature in manifest.features if feature.required]
    return {
        "oneOf": [
            {
                "type": "array",
                "prefixItems": [{"title": name, **column} for name, column in columns.items()],
                "items": False,
                "minItems": len(columns),
                "maxItems": len(columns),
            },
            {"type": "object", "properties": ignored | columns, "required": required, "additionalProperties": False},
        ]
    }


def _column(feature: Feature, manifest: Manifest, example: object) -> Document:
    """Return the schema of one column: its values, and those that stand for a missing one if the model takes any."""
    values, description = _SCHEMAS[feature.type](feature)
    if not manifest.takes_missing:
        return {**values, "description": description, "examples": [example]}
    description += "; null if missing" + ("" if feature.missing else ", which no training row was")
    missing = {"enum": [None, *manifest.missing_values]}
    return {"anyOf": [values, missing], "description": description, "examples": [example]}


def _number(feature: NumericFeature) -> tuple[Document, str]:
    unit = f" {feature.unit}" if feature.unit else ""
    return NUMBER, f"training range {feature.min:g} to {feature.max:g}{unit}"


def _category(feature: CategoricalFeature) -> tuple[Document, str]:
    texts = [repr(text) for text in feature.categories]
    shown = ", ".join(texts[:SHOWN_CATEGORIES])
    more = f" and {len(texts) - SHOWN_CATEGORIES} more" if len(texts) > SHOWN_CATEGORIES else ""
    return {"type": ["string", "number", "boolean"]}, f"one of {shown}{more}; any other counts as new"


def _truth(feature: BooleanFeature) -> tuple[Document, str]:
    words = [*feature.true_values, *feature.false_values]
    return {"enum": [True, False, 1, 0, *words]}, f"true or false, or one of {', '.join(map(repr, words))}"


def _time(feature: DatetimeFeature) -> tuple[Document, str]:
    span = f"training range {feature.min} to {feature.max}"
    if feature.format == DIGITS:
        return {"type": ["string", "integer"]}, f"in ISO 8601 or as eight digits (20240131), {span}"
    return {"type": "string"}, f"in ISO 8601, {span}"


_SCHEMAS: dict[str, Callable[[Any], tuple[Document, str]]] = {
    "numeric": _number,
    "categorical": _category,
    "boolean": _truth,
    "datetime": _time,
}
