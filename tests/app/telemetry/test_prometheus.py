"""Metrics as text: every family, any label value, as prometheus_client writes them."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics import ServingMetrics
from tests.app.telemetry.figures import busy, count, parsed, text


def test_label_values_may_hold_anything() -> None:
    source = ServingMetrics()
    name = 'back\\slash "quoted"\nand a line'
    source.statistics.version("means", 3, (name,)).count_predictions(0, 5)

    assert count(source, "tabserve_predictions_total", **{"model": "means", "version": "3", "class": name}) == 5


def test_figures_are_written_as_prometheus_client_writes_them() -> None:
    source = busy(3)
    shown = text(source)

    families = text_string_to_metric_families(shown)
    registry = SimpleNamespace(collect=lambda: [family for family in families if family.samples])
    theirs = generate_latest(registry).decode()

    assert len(parsed(shown)) > 100
    assert parsed(theirs) == parsed(shown)
