"""The families of metrics, and what they show of versions and models."""

from __future__ import annotations

from typing import Literal

from app.telemetry.metric_families import FAMILIES
from app.telemetry.metrics import ServingMetrics
from app.telemetry.prometheus import CONTENT_TYPE
from tests.app.telemetry.figures import text

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
