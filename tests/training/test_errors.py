"""Errors of a training say in one sentence what is wrong and where."""

from __future__ import annotations

import pytest

from modelstore import DatasetFault
from training.errors import DatasetError, Diverged, RecipeError, TrainingError, UnknownRecipe


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (7, "x1", "a.csv, line 7, column 'x1': is wrong"),
        (7, None, "a.csv, line 7: is wrong"),
        (None, "x1", "a.csv, column 'x1': is wrong"),
        (None, None, "a.csv: is wrong"),
    ],
)
def test_fault_of_the_data_is_told_with_its_place(line: int | None, column: str | None, said: str) -> None:
    error = DatasetError("a.csv", "is wrong", line=line, column=column)

    assert (str(error), error.reason) == (said, "bad_data")


def test_a_row_of_feedback_is_called_so_and_not_a_line_of_the_file() -> None:
    error = DatasetError("a.csv", "is wrong", line=-7, column="x1")

    assert str(error) == "a.csv, column 'x1': is wrong, in a row of feedback"
    assert (error.line, error.faults[0].line) == (None, None)


def test_several_faults_are_one_error_whose_place_is_that_of_the_first() -> None:
    faults = [DatasetFault(line=2, column="x", problem="is empty"), DatasetFault(line=9, column=None, problem="is big")]

    error = DatasetError.of("a.csv", faults)

    assert (error.line, error.column, list(error.faults)) == (2, "x", faults)
    assert str(error) == "a.csv, line 2, column 'x': is empty; line 9: is big"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RecipeError("iris.toml", "training.lr", "a number", "x"),
            "iris.toml: training.lr: expected a number, got 'x'",
        ),
        (RecipeError("iris.toml", "", "a table", {"a": 1}), "iris.toml: expected a table"),
        (UnknownRecipe("x", ("blobs", "iris")), "no recipe 'x'; known recipes: blobs, iris"),
        (Diverged("the loss is NaN", 0.1), "the loss is NaN; try a learning rate ten times smaller than 0.1"),
        (Diverged("the loss is NaN", None), "the loss is NaN; try another learner"),
    ],
    ids=["a field", "fields that contradict each other", "no recipe", "diverged", "diverged without a rate"],
)
def test_error_is_a_sentence_with_what_was_expected(error: TrainingError, said: str) -> None:
    assert str(error) == said
