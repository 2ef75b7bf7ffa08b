"""Derive the metrics of models and versions from counts and manifests.

This module counts nothing itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.telemetry.drift import drift_of, places_of
from app.telemetry.metric_families import AGREEMENT, COVERAGE, DRIFT, EVALUATION_OF
from app.telemetry.prometheus import Labels, Samples
from app.telemetry.version_counters import (
    BATCHES,
    CONFIDENCE,
    ENDS,
    LABELLED,
    OUTSIDE,
    PREDICTED,
    RECEIPTS,
    SAMPLED,
    SHADOWED,
    SIZES,
    TIMES,
    UNUSUAL,
    VALUES,
    Figures,
)
from modelstore import Manifest
from modelstore.intervals import wilson


@dataclass(frozen=True, slots=True)
class ServingVersion:
    """A serving version.

    Attributes:
        load_s: the time that loading and verifying it took.
        engines: the largest batch of each engine, and the engine's name.
        unused: a file of the version that failed its checks, and the reason code.
    """

    manifest: Manifest
    version: int
    device: str
    load_s: float
    engines: tuple[tuple[int, str], ...] = ()
    unused: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """State of one model, as far as metrics and the audit trail show it.

    Attributes:
        active: the version that should serve.
        serving: the version that serves, if any can.
        refused: versions that failed verification, each with its reason code.
        shadow: the version whose answers are compared with those of the serving one.
    """

    name: str
    active: int | None = None
    serving: ServingVersion | None = None
    refused: Mapping[int, str] = field(default_factory=dict)
    shadow: int | None = None


def of_versions(total: Figures) -> dict[str, Samples]:
    """Return the metrics that are derived from the counts of versions."""
    rows: dict[Labels, list[float]] = {}
    batches: dict[Labels, list[float]] = {}
    sizes: dict[Labels, list[float]] = {}
    receipts: dict[Labels, list[float]] = {}
    labelled = total.get(LABELLED, {})
    for (model, version, _), (given, _) in total.get(RECEIPTS, {}).items():
        receipts.setdefault((model, version), [0.0])[0] += given
    for (model, version, size), (count, of_rows, *_) in total[BATCHES].items():
        rows.setdefault((model, version), [0.0])[0] += of_rows
        batches.setdefault((model, version), [0.0])[0] += count
        histogram = sizes.setdefault((model,), [0.0] * (len(SIZES) + 1))
        histogram[SIZES.index(int(size))] += count
        histogram[-1] += of_rows
    return {
        "tabserve_inference_requests_total": total[ENDS],
        "tabserve_inference_stage_duration_seconds": {
            labels: [*counts, sum_ns / 1e9] for labels, (*counts, sum_ns) in total[TIMES].items()
        },
        "tabserve_inference_rows_total": rows,
        "tabserve_inference_batches_total": batches,
        "tabserve_batch_rows": sizes,
        "tabserve_predictions_total": total[PREDICTED],
        "tabserve_prediction_confidence": total[CONFIDENCE],
        "tabserve_unusual_values_total": total.get(UNUSUAL, {}),
        "tabserve_outside_rows_total": total.get(OUTSIDE, {}),
        "tabserve_receipts_total": receipts,
        **{
            f"tabserve_feedback_{name}_total": {labels: [counts[place]] for labels, counts in labelled.items()}
            for place, name in enumerate(("labels", "right", "squared_error"))
        },
        "tabserve_shadow_rows_total": {
            (*pair, result): [counts[place]]
            for pair, counts in total.get(SHADOWED, {}).items()
            for result, place in (("compared", 0), ("failed", 3), ("dropped", 4))
        },
        "tabserve_predicted_value_mean": {
            labels: [sum_ / rows] for labels, (rows, sum_) in total.get(VALUES, {}).items() if rows
        },
    }


def of_models(models: Iterable[ModelState], total: Figures) -> dict[str, Samples]:
    """Return the metrics that are derived from the serving versions, their manifests and their sampled rows."""
    shown: dict[str, dict[Labels, list[float]]] = defaultdict(dict)
    for model in models:
        if model.active is not None:
            shown["tabserve_model_ready"][model.name, str(model.active)] = [0.0]
        for reason, versions in Counter(model.refused.values()).items():
            shown["tabserve_model_refused_versions"][model.name, reason] = [float(versions)]
        if model.serving is None:
            continue
        manifest, labels = model.serving.manifest, (model.name, str(model.serving.version))
        shown["tabserve_model_info"][*labels, manifest.sha256, manifest.platform, model.serving.device] = [1.0]
        for up_to, engine in model.serving.engines:
            shown["tabserve_model_engine_info"][*labels, str(up_to), engine] = [1.0]
        if model.serving.unused:
            shown["tabserve_model_unused_file"][*labels, *model.serving.unused] = [1.0]
        shown["tabserve_model_ready"][labels] = [1.0]
        shown["tabserve_model_load_duration_seconds"][labels] = [model.serving.load_s]
        rows = _training_rows(manifest)
        for feature in manifest.features:
            index = drift_of(feature, total[SAMPLED].get((*labels, feature.name), [0.0] * places_of(feature)), rows)
            if index is not None:
                shown[DRIFT][model.name, feature.name] = [index]
        shadow = _shadow_figures(manifest, str(model.shadow), total.get(SHADOWED, {}).get((*labels, str(model.shadow))))
        for name, last, value in (*_coverage_figures(manifest), *shadow):
            shown[name][*labels, last] = [value]
        for split, figures in manifest.metrics.items():
            for name in EVALUATION_OF[manifest.task]:
                shown[f"tabserve_model_{name}"][*labels, split] = [float(getattr(figures, name))]
    return dict(shown)


def _coverage_figures(manifest: Manifest) -> Iterator[tuple[str, str, float]]:
    """Yield name, level and value of the metrics of coverage."""
    for level, (hit, tested) in (manifest.conformal.test_coverage if manifest.conformal else {}).items():
        for part, value in zip(COVERAGE, (hit / tested, *wilson(hit / tested, tested)), strict=True):
            yield f"tabserve_model_coverage{part}", level, value


def _shadow_figures(
    manifest: Manifest, shadow: str, counts: Sequence[float] | None
) -> Iterator[tuple[str, str, float]]:
    """Yield name, shadow and value of the metrics of a version and its shadow; none before rows were compared."""
    if not counts or not counts[0]:
        return
    rows, same, distance, *_ = counts
    if manifest.task == "regression":
        yield "tabserve_shadow_mean_absolute_difference", shadow, distance / rows
        return
    for part, value in zip(AGREEMENT, (same / rows, *wilson(same / rows, int(rows))), strict=True):
        yield f"tabserve_shadow_agreement{part}", shadow, value


def _training_rows(manifest: Manifest) -> int | None:
    """Return the rows that the statistics of the features describe, those of validation among them, if known."""
    return sum(manifest.metrics[split].rows for split in ("train", "validation") if split in manifest.metrics) or None
