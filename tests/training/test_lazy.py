"""Heavy libraries are imported where they are used, and not before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import training.outcome
from tests.training.samples import PROJECT
from training.lazy import load_module

LIGHT_COMMANDS = """
import contextlib, sys
from training.cli.commands import app
for command in ("--help", "recipes", "list", "ensure", "activate clouds 1", "fit clouds --set nonsense"):
    with contextlib.suppress(SystemExit):
        app(command.split(), standalone_mode=False)
sys.exit(" ".join({"torch", "sklearn", "pandas", "matplotlib", "numpy"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_commands_that_train_nothing_import_no_heavy_library(two_versions: Path, tmp_path: Path) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "clouds.toml").write_text(
        'model = "clouds"\n[data]\nfile = "a.csv"\ntarget = "b"\ntest_fraction = 0.2\n'
        "[training]\nhidden = []\nepochs = 1\nlr = 0.1\n"
    )
    folders = {**os.environ, "TABSERVE_MODELS_DIR": str(two_versions / "models"), "TABSERVE_RECIPES_DIR": str(recipes)}

    done = subprocess.run(
        [sys.executable, "-c", LIGHT_COMMANDS], cwd=PROJECT, env=folders, capture_output=True, text=True, check=False
    )

    assert "all 1 models are trained: clouds" in done.stdout
    assert "clouds version 1 is active" in done.stdout
    assert done.stderr.splitlines() == ["failed: --set: expected key=value, such as epochs=200, got 'nonsense'", ""]


def test_module_is_found_by_its_name_below_training() -> None:
    assert load_module("outcome") is training.outcome
    with pytest.raises(ModuleNotFoundError):
        load_module("nowhere")
