"""The model store that all systems serve, and rows to send.

Models are trained by the command line only.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelstore import ModelRepository, NumericFeature

PROJECT = Path(__file__).resolve().parent.parent
MODEL = "iris"
VERSIONS = (1, 2)

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Store:
    """A folder with two versions of one model."""

    folder: Path

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        manifest = ModelRepository(self.folder).find(MODEL, VERSIONS[0]).manifest()
        return tuple(feature.name for feature in manifest.features)

    @property
    def has_onnx(self) -> bool:
        """Return whether the version that is measured has `model.onnx`."""
        return (self.folder / MODEL / str(VERSIONS[0]) / "model.onnx").exists()

    def rows(self, n: int) -> Rows:
        """Return rows inside the training range, with one decimal as in the data set, float32, shape (n, F)."""
        manifest = ModelRepository(self.folder).find(MODEL, VERSIONS[0]).manifest()
        numbers = [feature for feature in manifest.features if isinstance(feature, NumericFeature)]
        low, high = [feature.min for feature in numbers], [feature.max for feature in numbers]
        drawn = np.random.default_rng(7).uniform(low, high, (n, len(low)))
        return np.clip(np.round(drawn, 1), low, high).astype(np.float32)  # (n, F)


def prepare(folder: Path) -> Store:
    """Return the store, trained if it is not there; version 1 is active.

    Raises:
        subprocess.CalledProcessError: if training fails.
    """
    repository = ModelRepository(folder)
    for version in VERSIONS:
        if version not in repository.versions(MODEL):
            fit(folder, MODEL, "--seed", str(version))
    repository.activate(MODEL, VERSIONS[0])
    return Store(folder)


def fit(folder: Path, name: str, *options: str) -> None:
    """Train a model and make it the serving one.

    Raises:
        subprocess.CalledProcessError: if training fails.
    """
    command = [sys.executable, "-m", "training", "fit", name, *options, "--activate", "always"]
    command += ["--models-dir", str(folder), "--data-dir", str(PROJECT / "data"), "--json-lines"]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
