"""Define all metrics, and derive those of models and versions from counts and manifests.

This module counts nothing itself.
"""

from __future__ import annotations

from app.telemetry.drift import CONFIDENCE_BUCKETS
from app.telemetry.prometheus import Family
from app.telemetry.version_counters import SIZES, TIME_BUCKETS_S
from modelstore import Task

JOB_BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

_BATCH_SIZES = SIZES[:-1]  # larger batches count under +Inf
_EVALUATION = {
    "accuracy": "Share of rows of the split that the serving version classifies correctly.",
    "macro_f1": "Mean F1 over the classes with rows or predictions on the split.",
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
COVERAGE = {
    "": "Share of test rows whose truth is in the prediction set, or interval, of a confidence.",
    "_low": "Low end of the 95 % interval of that share.",
    "_high": "High end of the 95 % interval of that share.",
}
AGREEMENT = {
    "": "Share of rows for which the serving version and its shadow answer the same class.",
    "_low": "Low end of the 95 % interval of that share.",
    "_high": "High end of the 95 % interval of that share.",
}
EVALUATION_OF: dict[Task, dict[str, str]] = {"classification": _EVALUATION, "regression": _OF_A_QUANTITY}

DRIFT = "tabserve_feature_drift_psi"

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
    "tabserve_predictions_total": Family(
        "counter", "Rows, by the label that the version decides.", ("model", "version", "class")
    ),
    "tabserve_prediction_confidence": Family(
        "histogram",
        "Probability of the most probable class, in a sample of rows.",
        ("model", "version"),
        CONFIDENCE_BUCKETS,
    ),
    DRIFT: Family(
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
    "tabserve_outside_rows_total": Family(
        "counter",
        "Rows with a value that is unseen, outside the training range, or missing in a column that had no gaps in "
        "training.",
        ("model", "version"),
    ),
    "tabserve_receipts_total": Family("counter", "Receipts given with predictions.", ("model", "version")),
    "tabserve_feedback_total": Family("counter", "Items of feedback, by what became of them.", ("result",)),
    "tabserve_kept_inputs_total": Family("counter", "Rows whose inputs were to be kept, by result.", ("result",)),
    "tabserve_feedback_labels_total": Family("counter", "Labels taken for predictions.", ("model", "version")),
    "tabserve_feedback_right_total": Family(
        "counter", "Labels that were the class that was answered.", ("model", "version")
    ),
    "tabserve_feedback_squared_error_total": Family(
        "counter", "Sum of the squared errors of labelled quantities.", ("model", "version")
    ),
    "tabserve_shadow_rows_total": Family(
        "counter",
        "Rows of a version for its shadow: compared, failed in the shadow, or dropped since it had no time.",
        ("model", "version", "shadow", "result"),
    ),
    **{
        f"tabserve_shadow_agreement{part}": Family("gauge", text, ("model", "version", "shadow"))
        for part, text in AGREEMENT.items()
    },
    "tabserve_shadow_mean_absolute_difference": Family(
        "gauge",
        "Mean absolute difference of the quantities of a version and its shadow, in the unit of the target.",
        ("model", "version", "shadow"),
    ),
    "tabserve_queue_rows": Family("gauge", "Rows of small requests in the queue.", ("model",)),
    "tabserve_queue_limit_rows": Family("gauge", "Most rows in the queue of a version in one worker."),
    "tabserve_train_jobs_total": Family("counter", "Ended trainings, by reason.", ("reason",)),
    "tabserve_train_job_duration_seconds": Family(
        "histogram", "Running time of ended trainings.", ("reason",), JOB_BUCKETS_S
    ),
    "tabserve_train_jobs_unfinished": Family(
        "gauge", "Queued and running trainings, and search jobs that run (searching), over all processes.", ("status",)
    ),
    "tabserve_keys_file_ok": Family("gauge", "1 if this worker uses the keys of the key file, 0 if the previous ones."),
    "tabserve_model_swaps_total": Family("counter", "Model version swaps, by result.", ("result",)),
    "tabserve_model_info": Family("gauge", "The serving version.", ("model", "version", "digest", "engine", "device")),
    "tabserve_model_engine_info": Family(
        "gauge",
        "The engine of the serving version for batches of up to so many rows, and of more in the last.",
        ("model", "version", "up_to_rows", "engine"),
    ),
    "tabserve_model_unused_file": Family(
        "gauge",
        "A file of the serving version that failed its checks, so no engine uses it.",
        ("model", "version", "file", "reason"),
    ),
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
        f"tabserve_model_coverage{part}": Family("gauge", text, ("model", "version", "confidence"))
        for part, text in COVERAGE.items()
    },
    **{
        f"tabserve_model_{name}": Family("gauge", text, ("model", "version", "split"))
        for name, text in (_EVALUATION | _OF_A_QUANTITY).items()
    },
}
