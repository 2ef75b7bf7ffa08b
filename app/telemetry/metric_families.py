"""Define all metrics, and derive those of models and versions from counts and manifests.

This module counts nothing itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.telemetry.drift import CONFIDENCE_BUCKETS, drift_of, places_of
from app.telemetry.prometheus import Family, Labels, Samples
from app.telemetry.version_counters import (
    BATCHES,
    CONFIDENCE,
    ENDS,
    PREDICTED,
    SAMPLED,
    SIZES,
    TIME_BUCKETS_S,
    TIMES,
    UNUSUAL,
    VALUES,
    Figures,
)
from modelstore import Manifest, Task

JOB_BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

_BATCH_SIZES = SIZES[:-1]  # larger batches count under +Inf
_EVALUATION = {
    "accuracy": "Share of rows of the split that the serving version classifies correctly.",
    "macro_f1": "Mean F1 over the classes on the split.",
    "log_loss": "Mean negative log likelihood on the split, in nats.",
    "brier": "Brier score on the split, 0 to 2.",
    "calibration_error": "Calibration error on the split, 15 bins of equally many rows.",
}
_OF_A_QUANTITY = {
    "rmse": "Root mean squared error of the serving version on the split, in the unit of the target.",
    "mae": "Mean absolute error on the split, in the unit of the target.",
    "r2": "Coefficient of determination on the split, at most 1.",
    "median_absolute_error": "Median absolute error on the split, in the unit of the target.",
}
_EVALUATION_OF: dict[Task, dict[str, str]] = {"classification": _EVALUATION, "regression": _OF_A_QUANTITY}

FAMILIES = {
    "tabserve_http_requests_total": Family(
        "counter", "HTTP requests, by route, method and status.", ("route", "method", "code")
    ),
    "tabserve_http_request_duration_seconds": Family(
        "histogram",
        "Time from the request headers to the last byte of the response.",
        ("route", "method"),
        TIME_BUCKETS_S,
    ),
    "tabserve_http_requests_in_progress": Family("gauge", "Requests in flight."),
    "tabserve_http_requests_waiting": Family(
        "gauge", "Requests waiting for their client, the job table or a training."
    ),
    "tabserve_inference_requests_total": Family(
        "counter", "Prediction requests, by outcome.", ("model", "version", "outcome")
    ),
    "tabserve_inference_stage_duration_seconds": Family(
        "histogram", "Time of answered prediction requests in each stage.", ("model", "stage"), TIME_BUCKETS_S
    ),
    "tabserve_inference_rows_total": Family("counter", "Rows predicted.", ("model", "version")),
    "tabserve_inference_batches_total": Family("counter", "Forward passes.", ("model", "version")),
    "tabserve_batch_rows": Family("histogram", "Rows per forward pass.", ("model",), _BATCH_SIZES),
    "tabserve_predictions_total": Family("counter", "Rows, by most probable class.", ("model", "version", "class")),
    "tabserve_prediction_confidence": Family(
        "histogram",
        "Probability of the most probable class, in a sample of rows.",
        ("model", "version"),
        CONFIDENCE_BUCKETS,
    ),
    "tabserve_feature_drift_psi": Family(
        "gauge",
        "Population stability index of recent rows against the training split of the serving version.",
        ("model", "feature"),
    ),
    "tabserve_unusual_values_total": Family(
        "counter",
        "Values of requests that were missing, or not among the categories of training (unseen), by column.",
        ("model", "version", "feature", "value"),
    ),
    "tabserve_predicted_value_mean": Family(
        "gauge", "Mean of the quantities that were answered, in the unit of the target.", ("model", "version")
    ),
    "tabserve_queue_rows": Family("gauge", "Rows of small requests in the queue.", ("model",)),
    "tabserve_queue_limit_rows": Family("gauge", "Most rows in the queue of a version in one worker."),
    "tabserve_train_jobs_total": Family("counter", "Ended trainings, by reason.", ("reason",)),
    "tabserve_train_job_duration_seconds": Family(
        "histogram", "Running time of ended trainings.", ("reason",), JOB_BUCKETS_S
    ),
    "tabserve_train_jobs_unfinished": Family("gauge", "Queued and running trainings, over all processes.", ("status",)),
    "tabserve_keys_file_ok": Family("gauge", "1 if this worker uses the keys of the key file, 0 if the previous ones."),
    "tabserve_model_swaps_total": Family("counter", "Model version swaps, by result.", ("result",)),
    "tabserve_model_info": Family("gauge", "The serving version.", ("model", "version", "digest", "engine", "device")),
    "tabserve_model_ready": Family(
        "gauge", "1 for the serving version, 0 for an active version that does not serve.", ("model", "version")
    ),
    "tabserve_model_load_duration_seconds": Family(
        "gauge", "Time to load and verify the serving version.", ("model", "version")
    ),
    "tabserve_model_refused_versions": Family(
        "gauge", "Versions in the store that failed their checks.", ("model", "reason")
    ),
    **{
        f"tabserve_model_{name}": Family("gauge", text, ("model", "version", "split"))
        for name, text in (_EVALUATION | _OF_A_QUANTITY).items()
    },
}


@dataclass(frozen=True, slots=True)
class ServingVersion:
    """A serving version; `load_s` is the time that loading and verifying it took."""

    manifest: Manifest
    version: int
    device: str
    load_s: float


@dataclass(frozen=True, slots=True)
class ModelState:
    """State of one model, as far as metrics and the audit trail show it.

    Attributes:
        active: the version that should serve.
        serving: the version that serves, if any can.
        refused: versions that failed verification, each with its reason code.
    """

    name: str
    active: int | None = None
    serving: ServingVersion | None = None
    refused: Mapping[int, str] = field(default_factory=dict)


def of_versions(total: Figures) -> dict[str, Samples]:
    """Return the metrics that are derived from the counts of versions."""
    rows: dict[Labels, list[float]] = {}
    batches: dict[Labels, list[float]] = {}
    sizes: dict[Labels, list[float]] = {}
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
        shown["tabserve_model_ready"][labels] = [1.0]
        shown["tabserve_model_load_duration_seconds"][labels] = [model.serving.load_s]
        rows = _training_rows(manifest)
        for feature in manifest.features:
            index = drift_of(feature, total[SAMPLED].get((*labels, feature.name), [0.0] * places_of(feature)), rows)
            if index is not None:
                shown["tabserve_feature_drift_psi"][model.name, feature.name] = [index]
        for split, figures in manifest.metrics.items():
            for name in _EVALUATION_OF[manifest.task]:
                shown[f"tabserve_model_{name}"][*labels, split] = [float(getattr(figures, name))]
    return dict(shown)


def _training_rows(manifest: Manifest) -> int | None:
    """Return the rows that the statistics of the features describe, those of validation among them, if known."""
    return sum(manifest.metrics[split].rows for split in ("train", "validation") if split in manifest.metrics) or None
