"""What can be learnt from a data set, as far as its columns tell."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidInput
from app.jobs.records import TrainingRequest
from app.jobs.trainable import check_with_dataset, check_without_dataset
from modelstore import ColumnSummary, DatasetSummary


def summary(*columns: ColumnSummary) -> DatasetSummary:
    return DatasetSummary(rows=40, size_bytes=400, sha256="ab" * 32, columns=columns)


CHURN = summary(
    ColumnSummary(name="age", type="numeric", distinct=30, minimum=18, maximum=90),
    ColumnSummary(name="months", type="numeric", minimum=0, maximum=400),
    ColumnSummary(name="city", type="categorical", distinct=3),
    ColumnSummary(name="country", type="categorical", distinct=1),
    ColumnSummary(name="churned", type="categorical", distinct=2, classes={"yes": 10, "no": 30}),
)


def request(**fields: Any) -> TrainingRequest:
    return TrainingRequest(model="churn", dataset="churn", **fields)


@pytest.mark.parametrize("features", [("age",), ("months", "age")])
@pytest.mark.parametrize("target", ["churned", "city"])
def test_numeric_columns_and_a_target_with_classes_can_be_learnt(target: str, features: tuple[str, ...]) -> None:
    assert check_with_dataset(request(target=target, features=features), CHURN) == features


def test_without_a_list_the_features_are_all_numeric_columns_but_the_target() -> None:
    assert check_with_dataset(request(target="churned"), CHURN) == ("age", "months")
    assert check_with_dataset(request(target="age"), CHURN) == ("months",)
    assert check_with_dataset(request(target="churned"), summary(*CHURN.columns[:2], CHURN.columns[-1])) is None


OF_OLD = summary(
    ColumnSummary(name=" a\u0302ge", type="numeric", distinct=30, minimum=18, maximum=90),
    ColumnSummary(name="months ", type="numeric", minimum=0, maximum=400),
    ColumnSummary(name="city", type="categorical", distinct=3),
    ColumnSummary(name="churned ", type="categorical", distinct=2, classes={"yes": 10, "no": 30}),
)


@pytest.mark.parametrize("features", [None, ("\u00e2ge", "months"), ("a\u0302ge ", " months")])
@pytest.mark.parametrize("target", ["churned", "churned ", "\tchurned"])
def test_f5_names_are_found_whatever_blanks_and_accents(target: str, features: tuple[str, ...] | None) -> None:
    assert check_with_dataset(request(target=target, features=features), OF_OLD) == ("\u00e2ge", "months")


WRONG = {
    "no target": ({}, "target", "must be the class column; the data set has age, months, city, country, churned"),
    "unknown target": ({"target": "x"}, "target", "is no column"),
    "one class": ({"target": "country"}, "target", "has one value only"),
    "unknown feature": ({"target": "churned", "features": ("age", "x")}, "features.1", "is no column"),
    "target as feature": ({"target": "age", "features": ("age",)}, "features.0", "is the target"),
    "F5: twice but for a blank": ({"target": "churned", "features": ("age", "age ")}, "features.1", "is named twice"),
    "F5: target but for a blank": ({"target": "age", "features": (" age",)}, "features.0", "is the target"),
    "twice": ({"target": "churned", "features": ("age", "months", "age")}, "features.2", "is named twice"),
    "text": ({"target": "churned", "features": ("city",)}, "features.0", "is a column of text"),
}


def test_data_set_without_a_numeric_column_has_nothing_to_learn_from() -> None:
    of_text = CHURN.model_copy(update={"columns": tuple(column for column in CHURN.columns if column.kind == "text")})
    target = of_text.columns[0].name

    with pytest.raises(InvalidInput, match=r"^features must be at least one numeric column besides the target$"):
        check_with_dataset(request(target=target), of_text)


@pytest.mark.parametrize(("fields", "place", "problem"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_learnt_is_said_with_its_place(fields: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_with_dataset(request(**fields), CHURN)

    assert error.value.problems[0].feature == place
    assert problem in error.value.problems[0].problem


def test_data_set_of_text_only_cannot_be_learnt() -> None:
    text = summary(*(column for column in CHURN.columns if column.kind == "text"))

    with pytest.raises(InvalidInput, match="at least one numeric column"):
        check_with_dataset(request(target="churned"), text)


@pytest.mark.parametrize("fields", [{"target": "y"}, {"features": ("x",)}])
def test_recipe_says_itself_what_is_learnt(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is for a data set"):
        check_without_dataset(TrainingRequest(model="iris", **fields))
    check_without_dataset(TrainingRequest(model="iris"))
