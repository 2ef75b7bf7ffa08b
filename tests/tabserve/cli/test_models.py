"""The version that a command means is found, or the nearest name is."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ModelRepository
from tabserve import WrongInput
from tabserve.cli.models import only, version_folder
from tests.fakes import publish

WRONG = [
    ("chrun", None, "has no model 'chrun'; did you mean churn?"),
    ("abc", None, "has no model 'abc'; it has churn"),
    ("churn@7", None, "churn has no version 7; it has 2, 1"),
    ("churn@x", None, "expected a version behind the @, such as churn@3"),
    ("churn@1", 1, "the version is said twice"),
]


@pytest.fixture
def models(repository: ModelRepository) -> Path:
    for _ in range(2):
        publish(repository, "churn")
    return repository.root


def test_a_version_is_named_behind_its_model(models: Path) -> None:
    assert version_folder(models, None) == version_folder(models, "churn") == models / "churn"
    assert version_folder(models, "churn@2") == version_folder(models, "churn", 2) == models / "churn" / "2"
    assert version_folder(models, str(models / "churn" / "1")) == models / "churn" / "1"


@pytest.mark.parametrize(("name", "version", "problem"), WRONG)
def test_what_is_not_there_is_said(models: Path, name: str, version: int | None, problem: str) -> None:
    with pytest.raises(WrongInput, match=problem.replace("?", r"\?")):
        version_folder(models, name, version)


def test_several_models_have_to_be_chosen_from() -> None:
    with pytest.raises(WrongInput, match="here has a, b: choose one with --model"):
        only(["a", "b"], "here")
