"""Published versions answer in this process as in the service."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest

import tabserve
from modelstore import ModelRepository
from tabserve import Client, LoadingFailed, ServiceError
from tests.app.typed import publish_typed
from tests.fakes import publish
from tests.tabserve.test_client import TYPED


def test_a_version_gives_the_bits_of_the_service(ours: Client, repository: ModelRepository) -> None:
    with tabserve.load(repository.root / "typed" / "1") as model:
        assert model.predict(TYPED).equals(ours.predict("typed", TYPED))
        assert (model.name, model.version, model.info()["classes"]) == ("typed", 1, ["no", "yes"])
        with pytest.raises(ServiceError, match="column 'age': is missing"):
            model.predict(TYPED.rename(columns={"age": "aeg"}))


def test_a_folder_of_a_model_means_its_active_version(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "models")
    publish(repository)
    publish(repository, shift=0.25, activate=False)
    publish_typed(repository)

    with tabserve.load(tmp_path / "models" / "means") as model:
        assert model.version == 1
        assert model.predict({"left": 0.5, "right": 0.5})["label"] == "low"
    with pytest.raises(FileNotFoundError, match="is no published version"):
        tabserve.load(tmp_path / "models")


def test_it_works_in_a_notebook_whose_loop_runs_and_leaves_no_thread(repository: ModelRepository) -> None:
    publish(repository)
    before = threading.active_count()

    async def cell() -> pd.DataFrame:
        with tabserve.load(repository.root / "means" / "1") as model:
            frame: pd.DataFrame = model.predict(pd.DataFrame({"left": [1.0], "right": [0.5]}))
            return frame

    assert asyncio.run(cell())["probability_high"].tolist() == [0.75]
    assert threading.active_count() <= before + 1  # the loop of this test


def test_a_version_that_gives_receipts_gives_none_without_its_service(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository, receipts=True)
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    with tabserve.load(repository.root / "means") as model:
        assert "receipt" not in model.predict({"left": 0.5, "right": 0.5})
    assert list(Path().iterdir()) == []  # no key


def test_a_version_answers_alike_after_its_folder_has_gone(repository: ModelRepository) -> None:
    publish_typed(repository)
    with tabserve.load(repository.root / "typed") as model:
        as_objects = TYPED.astype({"age": object})
        before, known = model.predict(as_objects), model.info()
        shutil.rmtree(repository.root / "typed")

        assert model.predict(as_objects).equals(before)
        assert model.info() == known


def test_a_damaged_version_is_refused_with_its_reason(repository: ModelRepository) -> None:
    publish(repository)
    (repository.root / "means" / "1" / "model.pt").write_bytes(b"half of a copy")

    with pytest.raises(LoadingFailed, match="version 1 was refused"):
        tabserve.load(repository.root / "means" / "1")
