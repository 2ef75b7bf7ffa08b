"""The facts of a card: statements, what is predicted, and how rows were held out."""

from __future__ import annotations

from typing import Any

import pytest

from app.cards.facts import CardFacts
from modelstore import CardStatements
from tests.app.cards.samples import whole
from tests.modelstore.samples import sample_manifest, sample_regression


def test_a_statement_is_that_of_the_model_else_that_of_the_training_else_none() -> None:
    assert whole().statements == {
        "owner": "the garden",
        "licence": None,
        "intended_use": "herbaria",
        "out_of_scope_use": None,
        "affected_people": None,
        "sensitive_columns": "found",
        "risks": None,
        "oversight": None,
        "review_date": "2027-01-02",
    }


def test_an_empty_list_of_sensitive_columns_says_that_there_are_none() -> None:
    facts = CardFacts(1, sample_manifest(), CardStatements(sensitive_columns=()))

    assert facts.statements["sensitive_columns"] == "none"


def test_what_is_predicted_is_one_sentence() -> None:
    assert whole().predicts == "Predicts the class of 'species', one of 2, with a probability for each."
    assert CardFacts(1, sample_regression()).predicts == "Predicts the quantity 'weight' in g."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "How the test rows were held out is not recorded."),
        ({"test_file": "t.csv"}, "The test rows are those of t.csv."),
        ({"test_fraction": 0.2, "split_seed": 42}, "20% of the rows are test rows, drawn with seed 42."),
        (
            {"test_fraction": 0.2, "assign": "hash"},
            "About 20% of the rows are test rows, chosen by a hash of their content.",
        ),
        ({"test_fraction": 0.25, "split": {"time": "day"}}, "The latest 25% of the rows by 'day' are the test rows."),
        (
            {"test_fraction": 0.25, "split": {"group": "firm"}},
            "About 25% of the rows are test rows; those of one 'firm' stay on one side.",
        ),
    ],
    ids=str,
)
def test_how_test_rows_were_held_out_is_one_sentence(data: dict[str, Any], sentence: str) -> None:
    lineage = sample_manifest().lineage.model_copy(update={"recipe": {"data": data}})

    assert CardFacts(1, sample_manifest(lineage=lineage)).split == sentence
