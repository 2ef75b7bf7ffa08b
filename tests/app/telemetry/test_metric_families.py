"""The families of metrics, and what they show of versions and models."""

from __future__ import annotations

from typing import Literal

import pytest

from app.telemetry.metric_families import FAMILIES, ModelState, ServingVersion, of_models, of_versions
from app.telemetry.metrics import ServingMetrics
from app.telemetry.prometheus import CONTENT_TYPE
from app.telemetry.version_counters import SAMPLED, CountsByVersion
from tests.app.telemetry.figures import counts, text
from tests.fakes import MeanModel, manifest_for
from tests.modelstore.samples import sample_regression

SPLITS: dict[Literal["train", "validation"], int] = {"train": 800, "validation": 200}


def test_every_family_has_a_help_text_and_the_prefix_even_without_samples() -> None:
    page = text(ServingMetrics())

    for name, family in FAMILIES.items():
        assert name.startswith("tabserve_")
        assert f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n" in page
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_buckets_of_every_histogram_rise() -> None:
    histograms = [family for family in FAMILIES.values() if family.kind == "histogram"]

    assert len(histograms) >= 5
    assert all(list(family.buckets) == sorted(set(family.buckets)) != [] for family in histograms)
    assert not [family for family in FAMILIES.values() if family.buckets and family.kind != "histogram"]


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


def test_a_regression_is_shown_with_its_own_figures() -> None:
    serving = ServingVersion(sample_regression(), 3, "cpu", 0.25)

    shown = of_models([ModelState("petals", 3, serving)], CountsByVersion().figures)

    assert shown["tabserve_model_rmse"] == {("petals", "3", "test"): [2.5]}
    assert shown["tabserve_model_r2"] == {("petals", "3", "test"): [0.75]}
    assert "tabserve_model_accuracy" not in shown
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


def test_batches_count_under_their_size_over_all_versions() -> None:
    counted = CountsByVersion()
    for version, rows in ((3, 2), (4, 2), (4, 1)):
        counts(counted, version).ran(requests=1, rows=rows, times_ns=(1, 1, 1))

    shown = of_versions(counted.figures)

    assert shown["tabserve_inference_rows_total"] == {("iris", "3"): [2], ("iris", "4"): [3]}
    assert shown["tabserve_inference_batches_total"] == {("iris", "3"): [1], ("iris", "4"): [2]}
    assert list(shown["tabserve_batch_rows"]["iris",])[:3] == [1, 2, 0]
    assert shown["tabserve_batch_rows"]["iris",][-1] == 5
