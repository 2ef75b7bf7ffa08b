"""A small, complete manifest that every test of the store can vary."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstore import (
    MIN_GOLDEN_ROWS,
    Baseline,
    ClassReport,
    Distribution,
    Evaluation,
    GateReport,
    GoldenRows,
    Lineage,
    Manifest,
    ModelRepository,
    NumericFeature,
    RegressionBaseline,
    RegressionEvaluation,
    Signature,
    Target,
)

MODEL = b"these bytes stand for a TorchScript file"
ONNX = b"and these bytes stand for an ONNX file"
GOLDEN_FILE = Path(__file__).with_name("manifest.golden.json")
CLASSES = ("versicolor", "virginica")


def petal(name: str, step: float) -> NumericFeature:
    """Return a column whose training rows were 1, 2, ... 11 steps."""
    deciles = tuple(step * n for n in range(2, 11))
    return NumericFeature(name=name, unit="cm", mean=6 * step, std=3 * step, min=step, max=11 * step, quantiles=deciles)


EVALUATION = Evaluation(
    split="test",
    rows=8,
    accuracy=0.875,
    macro_f1=0.873,
    log_loss=0.25,
    brier=0.125,
    calibration_error=0.0625,
    confusion=((4, 0), (1, 3)),
    per_class={
        "versicolor": ClassReport(precision=0.8, recall=1.0, f1=0.889, support=4),
        "virginica": ClassReport(precision=1.0, recall=0.75, f1=0.857, support=4),
    },
)


def sample_manifest(model: bytes = MODEL, **changes: Any) -> Manifest:
    """Return a manifest of these model bytes, two features and two classes; `changes` replace whole fields."""
    fields: dict[str, Any] = {
        "name": "petals",
        "description": "Two kinds of iris",
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "signature": Signature.for_output("probabilities", 2, cells=2),
        "features": (petal("petal length", 0.5), petal("petal width", 0.25)),
        "classes": CLASSES,
        "golden": GoldenRows(
            features=tuple((n / 4, n / 8) for n in range(MIN_GOLDEN_ROWS)),
            outputs=tuple((1 - n / 32, n / 32) for n in range(MIN_GOLDEN_ROWS)),
        ),
        "metrics": {"test": EVALUATION},
        "baselines": {"majority": Baseline(accuracy=0.5, log_loss=0.693)},
        "gate": GateReport(policy="if_better", passed=True, reason="first version"),
        "lineage": Lineage(
            recipe={"hidden": [16], "epochs": 50},
            seed=0,
            data_sha256={"petals.csv": hashlib.sha256(b"data").hexdigest()},
            libraries={"torch": "2.13.0"},
            code="0.1.0",
        ),
    }
    return Manifest(**{**fields, **changes})


VALUES = RegressionEvaluation(split="test", rows=8, rmse=2.5, mae=2.0, r2=0.75, median_absolute_error=1.5)


def sample_regression(model: bytes = MODEL, **changes: Any) -> Manifest:
    """Return a manifest like the sample's, of a model that predicts a value in grams."""
    spread = Distribution(mean=6, std=3, min=1, max=11, quantiles=tuple(range(2, 11)))
    golden = sample_manifest().golden
    fields: dict[str, Any] = {
        "task": "regression",
        "signature": Signature.for_output("value", 1, cells=2),
        "target": Target(name="weight", type="numeric", unit="g", distribution=spread),
        "classes": (),
        "golden": golden.model_copy(update={"outputs": tuple((n / 4,) for n in range(MIN_GOLDEN_ROWS))}),
        "metrics": {"test": VALUES},
        "baselines": {"mean": RegressionBaseline(rmse=5.0, r2=0.0)},
    }
    return sample_manifest(model, **{**fields, **changes})


def sample_with(path: str, value: object) -> bytes:
    """Return the sample as JSON with one field replaced, such as `golden.features.3.0`."""
    document = json.loads(sample_manifest().to_json())
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = document
    for step in parents:
        place = place[step]
    place[last] = value
    return json.dumps(document).encode()


def publish_sample(repository: ModelRepository, model: bytes = MODEL) -> int:
    """Publish the sample with one attachment; return its number."""
    return repository.publish(sample_manifest(model), model, {"loss.png": b"a plot"}).version


def whole_versions(root: Path) -> dict[int, bytes]:
    """Verify every version that the store lists, and return the bytes of each model.

    Raises:
        BrokenVersion: if one of them is not whole.
    """
    repository = ModelRepository(root)
    models = {}
    for number in repository.versions("petals"):
        found = repository.find("petals", number)
        models[number] = found.model_bytes(found.manifest())
        assert (found.path / "loss.png").read_bytes() == b"a plot"
    return models
