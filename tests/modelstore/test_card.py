"""Statements of people about a model: beside its versions, replaced whole, removed with it."""

from __future__ import annotations

from datetime import date

import pytest

from modelstore import CardStatements, ModelRepository, UnknownModel
from modelstore.card import read_statements
from tests.modelstore.samples import publish_sample


def test_statements_are_completed_by_others_where_they_say_nothing() -> None:
    own = CardStatements(owner="team", sensitive_columns=())
    others = CardStatements(owner="somebody", sensitive_columns=("age",), risks="none known")

    assert own.or_else(others) == CardStatements(owner="team", sensitive_columns=(), risks="none known")
    assert own.or_else(None) == own


def test_statements_are_kept_replaced_and_removed_with_the_model(repository: ModelRepository) -> None:
    publish_sample(repository)
    assert repository.statements("petals") == CardStatements()
    said = CardStatements(owner="Größe & Co", sensitive_columns=("age",), review_date=date(2027, 1, 2))

    repository.set_statements("petals", said)
    assert repository.statements("petals") == said
    repository.set_statements("petals", CardStatements(oversight="a person decides"))
    assert repository.statements("petals") == CardStatements(oversight="a person decides")

    repository.remove_model("petals")
    publish_sample(repository)
    assert repository.statements("petals") == CardStatements()


def test_nothing_is_stated_about_a_model_that_does_not_exist(repository: ModelRepository) -> None:
    with pytest.raises(UnknownModel):
        repository.set_statements("petals", CardStatements(owner="team"))

    assert not (repository.root / "petals").exists()


def test_file_with_other_content_is_an_error_and_not_an_empty_card(repository: ModelRepository) -> None:
    file = repository.find("petals", publish_sample(repository)).path.parent / "CARD"
    file.write_text('{"owner": 7}')

    with pytest.raises(OSError, match="holds no statements"):
        read_statements(file)
