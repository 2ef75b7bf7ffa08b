"""Cells of one version become those of another, with other orders and codes."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.translation import make_translator
from app.schema import ModelSchema
from modelstore import BooleanFeature, Feature
from tests.app.typed import FEATURES, NAMES, of_json, typed_schema

AGE, PLAN, PAID, SINCE, SUM = FEATURES
ROWS: list[list[object]] = [
    [20, "basic", "Yes", "2020-01-02T00:00:30", 7],
    [None, "2", "No", None, 1],
    [33, "gold", None, "2021-01-02", None],
]


def schema(*features: Feature) -> ModelSchema:
    return ModelSchema.of_features("typed", 2, features, ("no", "yes"))


def test_cells_are_those_that_the_other_version_reads_from_the_same_rows() -> None:
    assert isinstance(PAID, BooleanFeature)
    plan = PLAN.model_copy(update={"categories": {"2": 9, "plus, or more": 5, "basic": 1, "new": 1}})
    paid = PAID.model_copy(update={"true_values": PAID.false_values, "false_values": PAID.true_values})
    source, target = typed_schema(), schema(SINCE, plan, SUM, paid, AGE)
    rows = {"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]}
    translate = make_translator(source, target)
    assert translate is not None

    found = translate(of_json(rows, source))

    np.testing.assert_array_equal(found, of_json(rows, target))
    np.testing.assert_array_equal(found[:, 2], [2, 0, 4])  # codes of `plan`
    np.testing.assert_array_equal(found[:, 4], [0, 1, np.nan])


def test_same_cells_are_not_translated() -> None:
    assert make_translator(typed_schema(), typed_schema()) is None


@pytest.mark.parametrize("code", [-1.0, 7.0, np.float32(3e38)])
def test_codes_that_are_none_become_that_of_other_texts_or_the_first(code: float) -> None:
    plan = PLAN.model_copy(update={"categories": {"plus, or more": 5, "basic": 1}})
    translate = make_translator(schema(PLAN), schema(plan))
    assert translate is not None

    assert translate(np.array([[code]], np.float32)).tolist() == [[1.0 if code < 0 else 2.0]]
