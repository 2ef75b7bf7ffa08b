"""The text of `GET /metrics`: families, labels, and the state of models."""

from __future__ import annotations

from app.telemetry.metrics import ServingMetrics
from app.telemetry.model_metrics import ModelState
from tests.app.telemetry.figures import parsed, text


def test_model_that_should_serve_and_cannot_is_not_ready_and_its_refusals_are_shown() -> None:
    models = [ModelState("means", 7, None, {5: "golden_mismatch", 6: "golden_mismatch"}), ModelState("new")]
    page = text(ServingMetrics(), lambda: models)
    shown = parsed(page)

    assert shown["tabserve_model_ready", frozenset({("model", "means"), ("version", "7")})] == 0
    refused = frozenset({("model", "means"), ("reason", "golden_mismatch")})
    assert shown["tabserve_model_refused_versions", refused] == 2
    assert "new" not in page
