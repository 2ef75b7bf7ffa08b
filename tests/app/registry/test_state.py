"""The state of a model: which version is active, which serves, and refusals."""

from __future__ import annotations

from app.registry.state import Refusal, ServedModel
from app.telemetry.model_metrics import ModelState

REFUSAL = Refusal("integrity_sha256", "model.pt is not the file that was published", (1,))


def test_model_without_an_active_version_says_so() -> None:
    assert ServedModel("means").reason == "no version was activated"


def test_refused_active_version_is_the_reason_and_another_refused_one_is_not() -> None:
    model = ServedModel("means", active=2).with_trial_result(2, REFUSAL)

    assert model.reason == "integrity_sha256: model.pt is not the file that was published"
    assert ServedModel("means", active=3).with_trial_result(2, REFUSAL).reason == "version 3 is not in the store"


def test_description_of_a_model_that_cannot_serve_has_the_reason_codes() -> None:
    model = ServedModel("means", active=2).with_refusal(2, REFUSAL)

    assert model.describe() == ModelState("means", 2, None, {2: "integrity_sha256"})


def test_refusal_of_a_version_keeps_the_other_refusals() -> None:
    model = ServedModel("means").with_trial_result(1, REFUSAL).with_refusal(2, REFUSAL)

    assert sorted(model.refused) == [1, 2]
    assert model.serving is None
