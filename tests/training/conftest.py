from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.training.samples import clouds, draw_nothing, recipe, run, write_csv
from training.threads import use_one_thread


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    use_one_thread()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_csv(folder / "data", clouds(200, features=3))
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_nothing(monkeypatch)
        for epochs in (2, 60):
            run(recipe(epochs=epochs), folder)
    assert ModelRepository(folder / "models").active("clouds") == 2
    return folder


@pytest.fixture
def two_versions(_trained: Path, tmp_path: Path, undrawn: None) -> Path:
    """Return a folder with `data/clouds.csv` and `models/clouds`: version 1 is poor, version 2 good and active."""
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True)
    return tmp_path
