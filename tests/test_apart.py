"""app and training each work without the other installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import PROJECT

ALONE = """
import importlib.util, sys
sys.path[:] = [{here!r}, *(path for path in sys.path if path not in ("", {project!r}))]
assert importlib.util.find_spec({other!r}) is None
"""

SERVES = """
from pathlib import Path
from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import Settings
settings = Settings(models_dir=Path("models"), datasets_dir=Path("datasets"), state_dir=Path("state"))
with TestClient(create_app(settings)) as client:
    answer = client.post("/predict/means", json={"instances": [[0.25, 0.75]]})
print(answer.status_code)
"""

LEARNS = """
from training.cli.commands import app
app(["fit", "iris", "--set", "epochs=5"], standalone_mode=False)
"""


def run_alone(folder: Path, packages: tuple[str, ...], other: str, program: str) -> str:
    """Run a program with only these packages, and return its output."""
    for package in packages:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    alone = ALONE.format(here=str(folder), project=str(PROJECT), other=other)
    done = subprocess.run(
        [sys.executable, "-I", "-c", alone + program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_service_answers_without_training(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))

    assert run_alone(tmp_path, ("app", "modelstore"), "training", SERVES).endswith("200\n")


@pytest.mark.slow
def test_training_publishes_without_the_service(tmp_path: Path) -> None:
    run_alone(tmp_path, ("training", "modelstore", "data"), "app", LEARNS)

    assert ModelRepository(tmp_path / "models").versions("iris") == (1,)
