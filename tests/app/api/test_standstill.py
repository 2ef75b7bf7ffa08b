"""A service that answers nobody any more is noticed, and one that is only busy is not."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.api.standstill import STANDSTILL_S, Standstill
from app.lifecycle import Lifetime
from app.main import create_app
from app.security.permissions import AccessTable
from app.settings import Settings
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish

PLACES = 2


class Scene:
    """A service that is told what is asked of it, and what time it is."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.metrics = ServingMetrics()
        self.lifetime = Lifetime()
        self._standstill = Standstill(self.metrics, AccessTable(), PLACES, self.lifetime, lambda: self.now_s)

    def pass_time(self, seconds: float) -> bool:
        """Look, let time pass, and look again; tell whether nothing is answered."""
        self._standstill.check()
        self.now_s += seconds
        self._standstill.check()
        return self.lifetime.stands_still


def test_places_that_are_taken_while_nothing_is_answered_are_a_standstill() -> None:
    """X-01."""
    scene = Scene()
    scene.metrics.in_progress = PLACES

    assert not scene.pass_time(STANDSTILL_S - 1)
    assert scene.pass_time(1)
    assert scene.lifetime.unready
    scene.metrics.in_progress = PLACES - 1
    assert not scene.pass_time(0)
    assert scene.lifetime.unready is None


@pytest.mark.parametrize(
    ("route", "method", "code", "still"),
    [
        ("/predict/{model}", "POST", 200, False),
        ("/train", "POST", 202, False),
        ("/predict/{model}", "POST", 503, True),
        ("/predict/{model}", "POST", 499, True),
        ("/readyz", "GET", 200, True),
        ("/metrics", "GET", 200, True),
        ("unmatched", "other", 404, True),
    ],
)
def test_only_an_answer_that_needed_a_place_is_a_sign_of_life(route: str, method: str, code: int, still: bool) -> None:
    """X-01: refusals, probes and figures go on all the time."""
    scene = Scene()
    scene.metrics.in_progress = PLACES
    scene.pass_time(STANDSTILL_S - 1)

    scene.metrics.requests(route, method).count(code, 0.1)

    assert scene.pass_time(1) is still


def test_rows_that_are_computed_are_a_sign_of_life() -> None:
    """X-01: one large request may hold the only place for longer, and is answered well."""
    scene = Scene()
    scene.metrics.in_progress = PLACES
    for _ in range(3):
        assert not scene.pass_time(STANDSTILL_S - 1)
        scene.metrics.statistics.version("iris", 1).ran(requests=0, rows=2048, times_ns=(0, 1, 0))
    assert not scene.pass_time(1)

    assert scene.pass_time(STANDSTILL_S)


def test_free_place_is_none_however_little_is_answered() -> None:
    scene = Scene()
    scene.metrics.in_progress = PLACES - 1

    assert not scene.pass_time(10 * STANDSTILL_S)


@pytest.mark.slow
def test_service_whose_places_are_lost_is_unready_until_they_are_back(
    settings: Settings, repository: ModelRepository
) -> None:
    """X-01: as when each of some requests had left its place taken."""
    publish(repository)
    app = create_app(settings.model_copy(update={"max_in_flight": PLACES}))
    with TestClient(app) as client:
        app.metrics.in_progress += PLACES
        until(lambda: client.get("/readyz").status_code == 503, "unready", 10 * STANDSTILL_S)
        assert "standstill" in client.get("/readyz").json()["reasons"]["*"]
        assert client.get("/livez").status_code == 200
        assert client.post("/predict/means", json={"instances": [[1, 2]]}).status_code == 503

        app.metrics.in_progress -= PLACES
        until(lambda: client.get("/readyz").status_code == 200, "ready again")
        assert client.post("/predict/means", json={"instances": [[1, 2]]}).status_code == 200
