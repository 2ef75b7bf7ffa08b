"""Metrics that follow from counts, manifests and the state of models."""

from __future__ import annotations

import pytest

from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.metric_families import FAMILIES
from app.telemetry.model_metrics import ModelState, ServingVersion, of_models, of_versions
from app.telemetry.version_counters import RECEIPTS, SAMPLED
from modelstore import Conformal
from tests.app.telemetry.figures import counts
from tests.app.telemetry.test_metric_families import SPLITS
from tests.fakes import MeanModel, manifest_for
from tests.modelstore.samples import sample_regression


def test_version_that_serves_is_shown_with_its_manifest() -> None:
    model, data = MeanModel(2, 0.0), b"a model"
    manifest = manifest_for(model, data)
    serving = ServingVersion(manifest, 3, "cpu", 0.25)

    shown = of_models([ModelState("means", 4, serving)], CountsByVersion().figures)

    assert shown["tabserve_model_ready"] == {("means", "4"): [0.0], ("means", "3"): [1.0]}
    assert shown["tabserve_model_load_duration_seconds"] == {("means", "3"): [0.25]}
    assert list(shown["tabserve_model_info"]) == [("means", "3", manifest.sha256, manifest.platform, "cpu")]
    assert shown["tabserve_model_log_loss"] == {("means", "3", "test"): [0.25]}
    assert shown.keys() <= FAMILIES.keys()


def test_engines_and_a_file_that_none_uses_are_shown_with_their_version() -> None:
    manifest = manifest_for(MeanModel(2, 0.0), b"a model")
    engines, unused = ((8, "cpu"), (1024, "cuda:0 graph")), ("model.onnx", "golden_mismatch")

    shown = of_models(
        [ModelState("means", 3, ServingVersion(manifest, 3, "cuda", 0.25, engines, unused))], CountsByVersion().figures
    )

    labels = [("means", "3", "8", "cpu"), ("means", "3", "1024", "cuda:0 graph")]
    assert shown["tabserve_model_engine_info"] == {key: [1.0] for key in labels}
    assert shown["tabserve_model_unused_file"] == {("means", "3", "model.onnx", "golden_mismatch"): [1.0]}
    assert shown.keys() <= FAMILIES.keys()


def test_a_regression_is_shown_with_its_own_figures() -> None:
    serving = ServingVersion(sample_regression(), 3, "cpu", 0.25)

    shown = of_models([ModelState("petals", 3, serving)], CountsByVersion().figures)

    assert shown["tabserve_model_rmse"] == {("petals", "3", "test"): [2.5]}
    assert shown["tabserve_model_r2"] == {("petals", "3", "test"): [0.75]}
    assert "tabserve_model_accuracy" not in shown
    assert shown.keys() <= FAMILIES.keys()


def test_coverage_of_test_rows_is_shown_by_confidence_with_its_interval() -> None:
    coverage = {"0.8": (9, 10), "0.9": (81, 263)}
    conformal = Conformal(
        score="lac", rows=1, source="split", guarantee="marginal", scores=(0.5,), test_coverage=coverage
    )
    manifest = manifest_for(MeanModel(2, 0.0), b"a model").model_copy(update={"conformal": conformal})

    shown = of_models([ModelState("means", 3, ServingVersion(manifest, 3, "cpu", 0.25))], CountsByVersion().figures)

    assert shown["tabserve_model_coverage"][("means", "3", "0.8")] == [0.9]
    ends = [shown[f"tabserve_model_coverage_{end}"][("means", "3", "0.9")][0] for end in ("low", "high")]
    assert ends == pytest.approx([0.2553, 0.3662], abs=1e-4)  # Newcombe 1998, table I
    assert shown.keys() <= FAMILIES.keys()


def test_share_of_missing_values_is_compared_with_that_of_all_rows_that_trained_or_validated() -> None:
    manifest = manifest_for(MeanModel(2, 0.0), b"a model")
    left, right = manifest.features
    test = manifest.metrics["test"]
    rows = {split: test.model_copy(update={"split": split, "rows": count}) for split, count in SPLITS.items()}
    known = manifest.model_copy(
        update={"features": (left.model_copy(update={"missing": 250}), right), "metrics": manifest.metrics | rows}
    )
    up_to = [750.0 * tenth for tenth in range(1, 10)]
    figures = CountsByVersion().figures | {SAMPLED: {("means", "3", "left"): [7500.0, *up_to, *up_to, 2500.0]}}

    shown = of_models([ModelState("means", 3, ServingVersion(known, 3, "cpu", 0.25))], figures)

    ((labels, (index,)),) = shown["tabserve_feature_drift_psi"].items()
    assert labels == ("means", "left")
    assert index == pytest.approx(0, abs=1e-9)


def test_receipts_and_rows_with_warnings_are_counted_by_version_over_all_processes() -> None:
    counted = CountsByVersion()
    counts(counted).count_receipts(2)
    counts(counted).count_outside(1)
    figures = counted.figures
    figures[RECEIPTS] |= {("iris", "3", "of another process"): [5.0, 1.8e9]}

    shown = of_versions(figures)

    assert shown["tabserve_receipts_total"] == {("iris", "3"): [7]}
    assert shown["tabserve_outside_rows_total"] == {("iris", "3"): [1]}


def test_batches_count_under_their_size_over_all_versions() -> None:
    counted = CountsByVersion()
    for version, rows in ((3, 2), (4, 2), (4, 1)):
        counts(counted, version).ran(requests=1, rows=rows, times_ns=(1, 1, 1))

    shown = of_versions(counted.figures)

    assert shown["tabserve_inference_rows_total"] == {("iris", "3"): [2], ("iris", "4"): [3]}
    assert shown["tabserve_inference_batches_total"] == {("iris", "3"): [1], ("iris", "4"): [2]}
    assert list(shown["tabserve_batch_rows"]["iris",])[:3] == [1, 2, 0]
    assert shown["tabserve_batch_rows"]["iris",][-1] == 5
