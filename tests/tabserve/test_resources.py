"""Models of a service, as the client returns them."""

from __future__ import annotations

import pytest

from tabserve import Client, ServiceError, WrongInput


def test_models_are_listed_activated_rolled_back_and_removed(ours: Client) -> None:
    model = ours.model("means")
    assert [each.name for each in ours.models()] == ["means", "typed"]
    with pytest.raises(WrongInput, match="no version that was active before"):
        model.rollback()

    assert model.activate(2)["serving_version"] == 2
    assert model.predict([[0.5, 0.5]])[0]["label"] == "high"
    assert model.rollback()["serving_version"] == 1
    assert [version["version"] for version in model.versions()] == [2, 1]
    model.delete(2)
    assert model.info()["versions"] == [1]
    assert model.version(1)["classes"] == ["low", "high"]
    model.delete()
    with pytest.raises(ServiceError) as caught:
        model.info()
    assert caught.value.status == 404


def test_a_shadow_is_started_compared_not_promoted_without_labels_and_ended(ours: Client) -> None:
    model = ours.model("means")
    assert model.shadow(2)["shadow_version"] == 2
    assert (model.live(1, days=3)["days"], model.live(1)["shadow"]["shadow"]) == (3, 2)
    with pytest.raises(ServiceError, match="labels do not show that means version 2 is better") as caught:
        model.promote(2)
    assert (caught.value.status, caught.value.kind) == (409, "not-better")

    model.end_shadow(2)

    assert model.info()["shadow_version"] is None
