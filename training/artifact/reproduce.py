"""Train a stored version again from its lineage and compare the weights."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from modelstore import Dialect, Manifest, ModelVersion, Notice
from training.artifact import torchscript
from training.config.recipe import DataSource, parse_recipe
from training.data.splits import load_splits
from training.errors import DatasetError
from training.learners.calibrated import fit_calibrated
from training.learners.protocol import Report

STOPPED = "the training of this version was ended early; this one is not, and gives other weights"


@dataclass(frozen=True)
class Reproduction:
    """Differences between the reproduced and the stored weights.

    Attributes:
        weights: how many numbers were compared.
        differing: how many of them are not bit-identical.
        largest_difference: largest absolute difference; infinite if even the shapes differ.
    """

    weights: int
    differing: int
    largest_difference: float


def reproduce(found: ModelVersion, folder: Path, report: Report, file: str | None = None) -> Reproduction:
    """Train a version again and compare its weights with the stored ones.

    `file` is the name of the data file in that folder, if it differs from the original name.

    Raises:
        BrokenVersion: if the version cannot be read.
        DatasetError: if the data is not that of the version, or the version was trained on rows of feedback, too.
        Diverged: if the loss is not finite.
    """
    manifest = found.manifest()
    stored = torchscript.weights(found.model_bytes(manifest))
    recipe = parse_recipe(manifest.lineage.recipe, f"manifest of {found.name} {found.version}")
    if feedback := manifest.lineage.feedback:
        problem = (
            f"is not all that version {found.version} was trained on: feedback ({feedback.describe()}) is not kept"
        )
        raise DatasetError(recipe.data.file, f"{problem} with a version, so its weights cannot be reproduced")
    source = recipe.data if file is None else recipe.data.model_copy(update={"file": file})
    dialects = dialects_of(manifest, source, folder)
    calibrate = manifest.conformal is not None and manifest.conformal.source == "split"
    splits = load_splits(source, folder, recipe.training, dialects, calibrate=calibrate)
    for name, sha256 in manifest.lineage.data_sha256.items():
        here = source.file if name == recipe.data.file else name
        if splits.sha256.get(here) != sha256:
            raise DatasetError(here, f"expected the data that version {found.version} was trained on, got other bytes")
    for sentence in _changes(manifest):
        report(Notice(level="warning", message=sentence))
    settings = recipe.training
    train, validation = splits.hold_out(settings.validation_fraction, settings.seed)
    fitted = fit_calibrated(settings, train, validation, report, way=splits.way)
    return differences(stored, fitted.module.state_dict())


def data_folder(source: DataSource, sha256: Mapping[str, str], data_dir: Path, datasets_dir: Path) -> Path:
    """Return the folder that holds exactly the data files of a version.

    Args:
        source: the data source of the recipe.
        sha256: SHA-256 of each file at training time, by file name.
        data_dir: folder of the built-in files; also returned if no folder has the right files.
        datasets_dir: folder in which the service keeps uploaded data sets, `<stem>/<sha256>/<file>`.
    """
    uploaded = datasets_dir / Path(source.file).stem / sha256.get(source.file, "")
    for folder in (data_dir, uploaded):
        if all(_sha256(folder / file) == expected for file, expected in sha256.items()):
            return folder
    return data_dir


def dialects_of(manifest: Manifest, source: DataSource, folder: Path) -> dict[str, Dialect]:
    """Return how a version's data files were read when it was trained; those with other bytes are detected anew."""
    lineage = manifest.lineage
    here = {name: name if name == source.test_file else source.file for name in lineage.dialects}
    same = [name for name, file in here.items() if _sha256(folder / file) == lineage.data_sha256.get(name)]
    return {here[name]: lineage.dialects[name] for name in same}


def differences(stored: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> Reproduction:
    """Compare two sets of named weights bit for bit."""
    weights = sum(value.numel() for value in stored.values())
    if {name: value.shape for name, value in stored.items()} != {name: value.shape for name, value in again.items()}:
        return Reproduction(weights, weights, float("inf"))
    pairs = [(value, again[name]) for name, value in stored.items() if value.numel()]
    differing = sum(int((ours != theirs).sum()) for ours, theirs in pairs)
    return Reproduction(weights, differing, max(float((ours - theirs).abs().max()) for ours, theirs in pairs))


def _changes(manifest: Manifest) -> list[str]:
    """Return a sentence for each reason why the weights may differ: an early end, other libraries."""
    stopped = [STOPPED] if manifest.lineage.stopped else []
    return stopped + [
        f"{name} is {importlib.metadata.version(name)}, the version was trained with {version}; weights may differ"
        for name, version in manifest.lineage.libraries.items()
        if importlib.metadata.version(name) != version
    ]


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
