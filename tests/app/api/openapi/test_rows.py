"""The schema of a typed row: what it accepts, refuses, and says about each column."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from app.api.openapi.rows import row_schema
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, LeftOut, Manifest, Target
from modelstore.typical import typical_row
from tests.modelstore.samples import petal, sample_manifest

TYPED = sample_manifest().model_copy(
    update={
        "features": (
            petal("length", 0.5),
            CategoricalFeature(name="soil", categories={f"kind {number}": 99 - number for number in range(25)}),
            BooleanFeature(name="wild", true_values=("yes",), false_values=("no",), true=1, false=2, missing=3),
            DatetimeFeature(name="found", min="2019-01-01", max="2020-12-31", quantiles=(18_000.0,) * 9),
        ),
        "left_out": (LeftOut(name="id", reason="id", detail="unique in all rows"),),
        "target": Target(name="kind"),
    }
)
ROW: dict[str, Any] = {"length": 3.0, "soil": "kind 0", "wild": "no", "found": "2019-04-14"}


def accepts(row: object, manifest: Manifest = TYPED) -> bool:
    return jsonschema.Draft202012Validator(row_schema(manifest)).is_valid(row)


def test_the_typical_row_is_accepted_as_object_and_as_array() -> None:
    assert typical_row(TYPED) == ROW
    assert accepts(ROW)
    assert accepts([*ROW.values()])


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "soil": 7, "wild": True, "length": None, "found": None},
        {**ROW, "length": "NA", "wild": ""},
        {**ROW, "id": "x17", "kind": "virginica"},
        [3, "never seen", 0, "2030-01-01T12:00:00Z"],
    ],
)
def test_gaps_numbers_as_categories_and_a_raw_line_of_the_file_are_accepted(row: object) -> None:
    assert accepts(row)


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "length": "3"},
        {**ROW, "wild": "perhaps"},
        {**ROW, "found": 18_000},
        {**ROW, "other": 1},
        {name: value for name, value in ROW.items() if name != "soil"},
        [3, "kind 0", "no"],
        [*ROW.values(), 1],
    ],
)
def test_wrong_types_absent_names_and_other_lengths_are_refused(row: object) -> None:
    assert not accepts(row)


def test_each_column_says_its_values_and_range() -> None:
    described = {name: column["description"] for name, column in row_schema(TYPED)["oneOf"][1]["properties"].items()}

    assert described["length"] == "training range 0.5 to 5.5 cm; null if missing, which no training row was"
    assert described["soil"].startswith("one of 'kind 0', 'kind 1', ")
    assert "'kind 19' and 5 more; any other counts as new; null if missing" in described["soil"]
    assert described["wild"] == "true or false, or one of 'yes', 'no'; null if missing"
    assert described["found"].startswith("in ISO 8601, training range 2019-01-01 to 2020-12-31")
    assert (described["id"], described["kind"]) == ("ignored: id", "ignored: the target")


def test_a_version_of_format_1_takes_no_null() -> None:
    old = sample_manifest().model_copy(update={"format_version": 1})

    assert accepts([1.0, 2.0], old)
    assert not accepts([1.0, None], old)


def test_date_of_eight_digits_may_be_a_whole_number() -> None:
    days = DatetimeFeature(name="found", min="2019-01-01", max="2020-12-31", quantiles=(1,) * 9, format="%Y%m%d")
    manifest = TYPED.model_copy(update={"features": (*TYPED.features[:-1], days)})

    assert accepts({**ROW, "found": 20190414}, manifest)
    assert accepts({**ROW, "found": "20190414"}, manifest)
    assert not accepts({**ROW, "found": 2019.5}, manifest)
