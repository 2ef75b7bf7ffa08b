"""What can be learnt from a data set, as far as its columns tell."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidInput
from app.jobs.records import TrainingRequest
from app.jobs.trainable import check_with_dataset, check_without_dataset
from modelstore import AbstainPolicy, ColumnSummary, DatasetSummary, DecisionPolicy, Overrides, Split
from modelstore.overrides import Image


def summary(*columns: ColumnSummary) -> DatasetSummary:
    return DatasetSummary(rows=40, size_bytes=400, sha256="ab" * 32, columns=columns)


CHURN = summary(
    ColumnSummary(name="age", type="numeric", distinct=30, minimum=18, maximum=90),
    ColumnSummary(name="months", type="numeric", minimum=0, maximum=400),
    ColumnSummary(name="city", type="categorical", distinct=3),
    ColumnSummary(name="country", type="categorical", distinct=1, left_out="constant", detail="CH in all 40 rows"),
    ColumnSummary(name="churned", type="categorical", distinct=2, classes={"yes": 10, "no": 30}),
)


TOWN = ColumnSummary(name="town", type="categorical", distinct=4, classes={"": 1, "Bern": 30, "Chur": 4, "Thun": 1})
VISITS = ColumnSummary(name="visits", type="numeric", distinct=11, classes={str(visits): 1 for visits in range(11)})
MORE = {"town": (TOWN,), "visits": (VISITS,)}  # columns of the tables in which they are the target


def request(**fields: Any) -> TrainingRequest:
    return TrainingRequest(model="churn", dataset="churn", **fields)


def left_out(*columns: ColumnSummary, **fields: Any) -> dict[str, str]:
    """Return what is left out of the columns of CHURN and some more, by name."""
    return {
        column.name: column.reason
        for column in check_with_dataset(request(**fields), summary(*CHURN.columns, *columns))
    }


@pytest.mark.parametrize("target", ["churned", "city", "age", "months"])
def test_all_columns_are_learnt_from_whatever_their_type(target: str) -> None:
    assert left_out(target=target) == {"country": "constant"}


def test_columns_that_the_request_does_not_name_are_not_chosen() -> None:
    assert left_out(target="churned", features=("months", "city")) == {"age": "not_chosen", "country": "not_chosen"}


def test_columns_that_tell_nothing_are_named_with_the_inspections_reason_unless_a_type_is_set() -> None:
    client = ColumnSummary(name="client", type="categorical", left_out="id", detail="unique in all 40 rows")

    (found, _) = sorted(
        check_with_dataset(request(target="churned"), summary(*CHURN.columns, client)), key=lambda c: c.name
    )

    assert (found.name, found.reason, found.detail) == ("client", "id", "unique in all 40 rows")
    assert left_out(client, target="churned", types={"client": "categorical"}) == {"country": "constant"}


def test_many_columns_that_were_not_chosen_are_counted() -> None:
    wide = summary(*(ColumnSummary(name=f"f{number}", type="numeric", distinct=9) for number in range(1000)))

    *named, rest = check_with_dataset(request(target="f0", features=("f1",)), wide)

    assert [column.name for column in named] == [f"f{number}" for number in range(2, 22)]
    assert (rest.name, rest.detail) == ("", "978 more columns are not among the features of the request")


OF_OLD = summary(
    ColumnSummary(name=" a\u0302ge", type="numeric", distinct=30, minimum=18, maximum=90),
    ColumnSummary(name="months ", type="numeric", minimum=0, maximum=400),
    ColumnSummary(name="churned ", type="categorical", distinct=2, classes={"yes": 10, "no": 30}),
)


@pytest.mark.parametrize("features", [None, ("\u00e2ge", "months"), ("a\u0302ge ", " months")])
@pytest.mark.parametrize("target", ["churned", "churned ", "\tchurned"])
def test_f5_names_are_found_whatever_blanks_and_accents(target: str, features: tuple[str, ...] | None) -> None:
    assert check_with_dataset(request(target=target, features=features), OF_OLD) == ()


def image(height: int, width: int) -> Overrides:
    return Overrides(learner="cnn", image=Image(height=height, width=width))


LEARNT = {"target": "churned"}
WRONG = {
    "no target": ({}, "target", "must be the column to predict; the data set has age, months, city, country, churned"),
    "unknown target": (
        {"target": "churn"},
        "target",
        "is no column of the data set; perhaps 'churned' is meant; the data set has",
    ),
    "unlike any": ({"target": "x"}, "target", "is no column of the data set; the data set has age, months"),
    "one class": ({"target": "country"}, "target", "has one value only"),
    "unknown feature": ({**LEARNT, "features": ("age", "Month")}, "features.1", "perhaps 'months' is meant"),
    "target as feature": ({"target": "age", "features": ("age",)}, "features.0", "is the target"),
    "F5: twice but for a blank": ({**LEARNT, "features": ("age", "age ")}, "features.1", "is named twice"),
    "F5: target but for a blank": ({"target": "age", "features": (" age",)}, "features.0", "is the target"),
    "twice": ({**LEARNT, "features": ("age", "months", "age")}, "features.2", "is named twice"),
    "only constants": ({**LEARNT, "features": ("country",)}, "features", "; country is left out (constant)"),
    "type of no column": ({**LEARNT, "types": {"ag": "numeric"}}, "types", "column 1 of them; perhaps 'age' is meant"),
    "type of a column that is not learnt from": (
        {**LEARNT, "features": ("age",), "types": {"months": "categorical"}},
        "types",
        "has column 'months', which is not among the features",
    ),
    "text as numbers": (
        {**LEARNT, "types": {"city": "numeric"}},
        "types",
        "column 'city' is numeric, but it has other",
    ),
    "optional is no column": ({**LEARNT, "optional": ("city", "agee")}, "optional.1", "perhaps 'age' is meant"),
    "optional is not learnt from": (
        {**LEARNT, "features": ("age",), "optional": ("months",)},
        "optional.0",
        "is not among the features",
    ),
    "target is optional": ({**LEARNT, "optional": ("churned",)}, "optional.0", "is not among the features"),
    "split by no column": ({**LEARNT, "split": Split(time="moths")}, "split.time", "perhaps 'months' is meant"),
    "split by the target": ({**LEARNT, "split": Split(group="churned")}, "split.group", "is the target"),
    "split by time of texts": (
        {**LEARNT, "split": Split(time="city")},
        "split.time",
        "must be a column of numbers or dates, but 'city' is categorical; say its type in `types`, or name another",
    ),
    "quantity of text": ({**LEARNT, "task": "regression"}, "task", "the target has texts that are no numbers"),
    "quantity of classes": (
        {"target": "age", "task": "regression", "types": {"age": "categorical"}},
        "task",
        "is regression, but `types` says that the target is categorical",
    ),
    "weights of no classes": (
        {"target": "age", "task": "regression", "overrides": Overrides(class_weights="balanced")},
        "overrides.class_weights",
        "a regression has none",
    ),
    "classes of a quantity": (
        {"target": "months", "task": "classification"},
        "target",
        "has more than 100 different values, the most that can be classes; is it a quantity? `task`: `regression`",
    ),
    "categories of a quantity": ({"target": "months", "types": {"months": "categorical"}}, "target", "more than 100"),
    "rare classes that are refused": (
        {"target": "town", "rare_classes": "refuse"},
        "rare_classes",
        "is refuse, and 2 classes have fewer than 5 rows",
    ),
    "abstaining by the probability of a quantity": (
        {"target": "age", "task": "regression", "abstain": AbstainPolicy(below=0.8)},
        "abstain",
        "must have out_of_range, or wider with confidence",
    ),
    "abstaining by the width of classes": (
        {**LEARNT, "task": "classification", "abstain": AbstainPolicy(wider=1, confidence=0.9)},
        "abstain",
        "must have below, confidence or out_of_range",
    ),
    "decision about a quantity": (
        {"target": "age", "task": "regression", "decision": DecisionPolicy(threshold=0.3)},
        "decision",
        "must be none, as a regression has no classes",
    ),
    "decision about many numbers": (
        {"target": "months", "decision": DecisionPolicy(threshold=0.3)},
        "decision",
        "must be none, as a regression has no classes",
    ),
    "weights of many numbers": (
        {"target": "visits", "overrides": Overrides(class_weights="balanced")},
        "overrides.class_weights",
        "a regression has none",
    ),
    "abstaining by the width of texts": (
        {**LEARNT, "abstain": AbstainPolicy(wider=1, confidence=0.9)},
        "abstain",
        "must have below, confidence or out_of_range",
    ),
    "split by what is not learnt from": (
        {**LEARNT, "features": ("age",), "split": Split(time="months")},
        "split.time",
        "is not among the features; rows are held out by one of them",
    ),
    "split by what is left out": (
        {**LEARNT, "split": Split(group="country")},
        "split.group",
        "is left out (constant); name another one, or say its type in `types`",
    ),
    "image of another size": (
        {**LEARNT, "features": ("age", "months"), "overrides": image(1, 3)},
        "overrides.image",
        "has 3 pixels, each a column of numbers, and there are 2 columns to learn from, 2 of them numbers",
    ),
    "image of texts": (
        {**LEARNT, "features": ("age", "city"), "overrides": image(1, 2)},
        "overrides.image",
        "there are 2 columns to learn from, 1 of them numbers",
    ),
    "image of what is no number as said": (
        {**LEARNT, "features": ("age", "months"), "types": {"age": "categorical"}, "overrides": image(1, 2)},
        "overrides.image",
        "there are 2 columns to learn from, 1 of them numbers",
    ),
    "costs of other classes": (
        {**LEARNT, "decision": DecisionPolicy(costs=((0, 1, 1), (1, 0, 1), (1, 1, 0)))},
        "decision",
        "must be costs of 2 rows and columns, one a class, and not of 3",
    ),
    "target is a date": ({**LEARNT, "types": {"churned": "datetime"}}, "types", "a date, which cannot be predicted"),
}


@pytest.mark.parametrize(("fields", "place", "problem"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_learnt_is_said_with_its_place(fields: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_with_dataset(request(**fields), summary(*CHURN.columns, *MORE.get(fields.get("target", ""), ())))

    assert error.value.problems[0].feature == place
    assert problem in error.value.problems[0].problem


def test_text_with_too_many_values_is_no_target() -> None:
    with pytest.raises(InvalidInput, match=r"more than 100 different values, the most that can be classes$"):
        left_out(ColumnSummary(name="name", type="categorical"), target="name")


def test_text_is_numeric_if_the_request_says_which_texts_are_missing() -> None:
    fields: dict[str, Any] = {"target": "churned", "types": {"city": "numeric"}, "missing_values": ("x",)}
    assert left_out(**fields) == {"country": "constant"}


@pytest.mark.parametrize(
    "fields",
    [
        {"split": Split(time="months")},
        {"split": Split(group="city")},
        {"split": Split(time="city"), "missing_values": ("x",)},  # which may be all that is no number
    ],
)
def test_rows_are_held_out_by_any_group_and_by_what_is_or_may_be_a_time(fields: dict[str, Any]) -> None:
    assert left_out(target="churned", **fields) == {"country": "constant"}


def test_a_text_that_the_request_calls_a_date_may_be_a_time() -> None:
    fields: dict[str, Any] = {"types": {"city": "datetime"}, "split": Split(time="city")}
    assert left_out(target="churned", **fields) == {"country": "constant"}


@pytest.mark.parametrize(
    "fields", [{"target": "y"}, {"features": ("x",)}, {"types": {"x": "numeric"}}, {"task": "regression"}]
)
def test_recipe_says_itself_what_is_learnt(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is for a data set"):
        check_without_dataset(TrainingRequest(model="iris", **fields))
    check_without_dataset(TrainingRequest(model="iris"))


def test_all_columns_but_those_without_values_are_pixels_of_an_image() -> None:
    edge = ColumnSummary(name="edge", type="numeric", distinct=1, left_out="constant")
    corner = ColumnSummary(name="corner", type="numeric", distinct=0, left_out="empty")
    fields: dict[str, Any] = {"target": "churned", "features": ("age", "months", "edge", "corner")}

    found = left_out(edge, corner, **fields, overrides=image(1, 3))

    assert found == {"corner": "empty", "city": "not_chosen", "country": "not_chosen"}


def test_target_of_few_numbers_may_be_classes() -> None:
    classes = {str(value): 9 for value in (*range(10), "1.0")}  # ten numbers in eleven texts
    numbers = ColumnSummary(name="n", type="numeric", distinct=11, classes=classes)

    assert left_out(numbers, target="n", overrides=Overrides(class_weights="balanced")) == {"country": "constant"}


def test_codes_with_leading_zeros_may_be_numeric_or_a_quantity() -> None:
    codes = ColumnSummary(name="zip", type="categorical", distinct=900, minimum=501, maximum=99950)

    assert left_out(codes, target="churned", types={"zip": "numeric"}) == {"country": "constant"}
    assert left_out(codes, target="zip", task="regression") == {"country": "constant"}
