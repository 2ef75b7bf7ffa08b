"""One version in a folder is found; tests/app/api/test_local.py predicts with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.scoring.version import OneVersion, find_version
from modelstore import ModelRepository, UnknownVersion
from tests.fakes import publish


def test_the_active_version_of_a_model_is_found_else_the_newest(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    publish(repository, activate=False)
    model = repository.root / "means"

    assert find_version(model, None).version == 1
    assert find_version(model / "2", None).version == 2
    (model / "ACTIVE").unlink()
    assert find_version(model, None).version == 2
    with pytest.raises(FileNotFoundError, match="is no published version"):
        find_version(tmp_path / "nothing", None)


def test_a_repository_of_one_version_knows_no_other(repository: ModelRepository) -> None:
    publish(repository)
    one = OneVersion(repository.find("means", 1))

    assert (one.names(), one.versions("means"), one.versions("x"), one.active("means")) == (("means",), (1,), (), 1)
    with pytest.raises(UnknownVersion):
        one.find("means", 2)
