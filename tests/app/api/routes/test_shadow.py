"""Shadows through the whole app.

`means` answers `high` for a mean of one half or more, its shadow for a lower one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import GateReport, ModelRepository
from tests.app.broken import Logits, damage, publish_as_means
from tests.app.problems import assert_problem
from tests.app.telemetry.figures import parsed
from tests.app.typed import FEATURES, publish_typed
from tests.app.waiting import until
from tests.fakes import publish
from tests.settings import settings_in

ASKING = {"x-prediction-receipt": "1"}
DIFFERENT, SAME = [0.3, 0.3], [0.9, 0.9]  # low and, in the shadow, high; high in both
LIVE = GateReport(policy="if_better_live", passed=False, shadow=True, reason="labels must show it first")
TYPED = [20, "basic", True, "2020-01-02T00:00:30", "7"]


@pytest.fixture
def repository(repository: ModelRepository) -> ModelRepository:
    """Return a store with the active version 1 of `means`, and version 2, whose probability of high is 0.4 larger."""
    publish(repository)
    publish(repository, shift=0.4, activate=False)
    return repository


@pytest.fixture
def client(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def shadow_route(client: TestClient, method: str = "POST", version: int = 2, what: str = "shadow") -> Any:
    return client.request(method, f"/models/means/versions/{version}/{what}")


def predict(client: TestClient, *rows: list[float], **headers: str) -> list[dict[str, Any]]:
    answer = client.post("/predict/means", json={"instances": rows}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 1
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def compared(client: TestClient, version: int = 1, model: str = "means") -> dict[str, Any]:
    answer = client.get(f"/models/{model}/versions/{version}/live")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["shadow"]
    return found


def receipts_with_a_shadow(client: TestClient, repository: ModelRepository, row: list[float], count: int) -> list[str]:
    """Return receipts of equal rows for which the answer of the shadow is kept."""
    before = compared(client)["agreement"]["rows"]
    found = [one["receipt"] for one in predict(client, *[row] * count, **ASKING)]
    until(lambda: compared(client)["agreement"]["rows"] == before + count, "all rows are compared")
    until(lambda: kept_answers(repository) >= count, "all answers are kept")
    return found


def kept_answers(repository: ModelRepository) -> int:
    with sqlite3.connect(repository.root.parent / "state" / "jobs.sqlite3") as database:
        (count,) = database.execute("SELECT count(*) FROM shadow_answers").fetchone()
    return int(count)


def label(client: TestClient, receipts: list[str], label: str) -> None:
    answer = client.post("/feedback", json={"feedback": [{"receipt": one, "label": label} for one in receipts]})
    assert answer.json()["taken"] == len(receipts), answer.text


def records(repository: ModelRepository) -> list[dict[str, Any]]:
    lines = (repository.root.parent / "state" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_agreement_is_counted_and_the_answers_are_those_of_the_active_version(client: TestClient) -> None:
    alone = predict(client, DIFFERENT, SAME)
    started = shadow_route(client)
    assert (started.status_code, started.json()["shadow_version"], started.json()["serving_version"]) == (200, 2, 1)

    assert predict(client, DIFFERENT, SAME) == alone
    assert predict(client, SAME) == alone[1:]
    until(lambda: compared(client)["agreement"]["rows"] == 3, "3 rows are compared")

    agreement = compared(client)["agreement"]
    assert (agreement["failed"], agreement["dropped"], agreement["mean_absolute_difference"]) == (0, 0, None)
    assert agreement["share"] == pytest.approx(2 / 3)
    assert agreement["interval"] == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson: 2 of 3
    assert compared(client, version=2) == compared(client)
    page, pair = parsed(client.get("/metrics").text), {"model": "means", "version": "1", "shadow": "2"}
    assert page["tabserve_shadow_rows_total", frozenset((pair | {"result": "compared"}).items())] == 3
    assert page["tabserve_shadow_agreement_low", frozenset(pair.items())] == pytest.approx(0.2077, abs=1e-4)
    history = client.get("/models/means/versions").json()["versions"]
    assert [one["version"] for one in history if one["shadow"]] == [2]


def test_quantities_have_a_mean_absolute_difference(settings: Settings, repository: ModelRepository) -> None:
    plan = FEATURES[1].model_copy(update={"categories": {"plus, or more": 60, "basic": 30}})
    for features in (FEATURES, (FEATURES[0], plan, *FEATURES[2:])):
        publish_typed(repository, "regression", features=features)
    repository.activate("typed", 1)
    with TestClient(create_app(settings)) as client:
        assert client.post("/models/typed/versions/2/shadow").status_code == 200
        rows = [TYPED, [20, "2", *TYPED[2:]]]  # the answer is half the sum of the cells; codes are 0 and 1, 2 and 2
        assert client.post("/predict/typed", json={"instances": rows}).status_code == 200
        until(lambda: compared(client, model="typed")["agreement"]["rows"] == 2, "the rows are compared")

        found = compared(client, model="typed")["agreement"]
        assert (found["mean_absolute_difference"], found["share"]) == (pytest.approx(0.25), None)
        pair = frozenset({"model": "typed", "version": "1", "shadow": "2"}.items())
        page = parsed(client.get("/metrics").text)
        assert page["tabserve_shadow_mean_absolute_difference", pair] == pytest.approx(0.25)


@pytest.mark.slow
def test_a_shadow_survives_a_restart_and_ends_when_it_is_asked_to(
    client: TestClient, settings: Settings, repository: ModelRepository
) -> None:
    assert shadow_route(client).status_code == 200
    with TestClient(create_app(settings)) as again:
        assert again.get("/models/means").json()["shadow_version"] == 2

    assert "version 2 is" in assert_problem(shadow_route(client, "DELETE", version=1), 409)["detail"]
    assert shadow_route(client, "DELETE").status_code == 204

    assert repository.shadow("means") is None
    assert client.get("/models/means").json()["shadow_version"] is None
    assert compared(client) is None
    assert "there is none" in assert_problem(shadow_route(client, "DELETE"), 409)["detail"]
    done = [(one["action"], one["outcome"]) for one in records(repository) if one["outcome"] != "asked"]
    assert done.count(("model.shadow", "ok")) == 1
    assert (done.count(("model.shadow_end", "ok")), done.count(("model.shadow_end", "refused"))) == (1, 2)


def test_what_cannot_be_a_shadow_is_refused_in_words(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, features=("left", "middle", "right"), activate=False)
    publish_as_means(repository, Logits(2, 0.0), activate=False)  # its rows do not sum to 1

    said = assert_problem(shadow_route(client, version=3), 409)
    assert said["type"].endswith("unfit-shadow")
    assert said["detail"] == "means version 3 cannot be a shadow: it also takes the column 'middle'"
    assert assert_problem(shadow_route(client, version=1), 409)["detail"].endswith("it is the active version")
    assert assert_problem(shadow_route(client, version=4), 409)["type"].endswith("version-refused")
    assert_problem(shadow_route(client, version=9), 404)
    assert repository.shadow("means") is None


def test_a_shadow_that_is_removed_or_broken_is_left_out_with_a_warning_and_changes_no_answer(
    client: TestClient, settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    assert shadow_route(client).status_code == 200
    damage(repository, 2)
    with TestClient(create_app(settings)) as again:
        assert again.get("/models/means").json()["shadow_version"] is None
        assert again.get("/models/means").json()["state"] == "ready"
        predict(again, SAME)
    assert "means version 2 is no shadow: it failed its checks: model.pt is not the file" in caplog.text

    assert client.delete("/models/means/versions/2").status_code == 204

    assert client.get("/models/means").json()["shadow_version"] is None
    predict(client, SAME)


def test_promotion_needs_labels_that_show_that_the_shadow_is_better(
    client: TestClient, repository: ModelRepository
) -> None:
    assert "there is none" in assert_problem(shadow_route(client, what="promote"), 409)["detail"]
    assert shadow_route(client).status_code == 200
    found = receipts_with_a_shadow(client, repository, DIFFERENT, 12)
    label(client, found[:4], "high")
    label(client, found[4:5], "low")

    said = assert_problem(shadow_route(client, what="promote"), 409)
    assert said["type"].endswith("not-better")
    assert "on 4 of 5 labelled rows that tell them apart; evidence 1.9, 20 is needed" in said["detail"]
    label(client, found[5:], "high")
    test = compared(client)["test"]
    assert (test["shadow_better"], test["active_better"], test["verdict"]) == (11, 1, "better")
    assert test["evidence"] > test["needed"] == 20
    assert client.get("/models/means").json()["active_version"] == 1  # it was not trained to be promoted by itself

    promoted = shadow_route(client, what="promote").json()

    assert (promoted["active_version"], promoted["serving_version"], promoted["shadow_version"]) == (2, 2, None)
    assert (repository.active("means"), repository.previous("means"), repository.shadow("means")) == (2, 1, None)
    assert client.post("/predict/means", json={"instances": [DIFFERENT]}).json()["predictions"][0]["label"] == "high"


def test_a_version_of_if_better_live_is_promoted_by_the_labels_that_decide(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository, shift=0.4, activate=False, gate=LIVE)
    repository.start_shadow("means", 3)
    with TestClient(create_app(settings)) as client:
        assert compared(client)["promotes_itself"]
        found = receipts_with_a_shadow(client, repository, DIFFERENT, 10)
        label(client, found[:3], "high")
        assert client.get("/models/means").json()["active_version"] == 1

        label(client, found[3:], "high")

        shown = client.get("/models/means").json()
        assert (shown["active_version"], shown["serving_version"], shown["shadow_version"]) == (3, 3, None)
    (record,) = (one for one in records(repository) if one["action"] == "model.promoted")
    assert (record["version"], record["version_before"], record["outcome"]) == (3, 1, "ok")
    assert record["reason"] == "better on 10 of 10 discordant rows, evidence 186"


def test_labels_may_come_before_the_answers_of_the_shadow(client: TestClient, repository: ModelRepository) -> None:
    assert shadow_route(client).status_code == 200
    label(client, [one["receipt"] for one in predict(client, DIFFERENT, **ASKING)], "high")

    assert until(lambda: compared(client)["test"]["shadow_better"] == 1, "the pair is complete")


def test_a_request_that_chooses_classes_in_another_way_makes_no_pair(
    client: TestClient, repository: ModelRepository
) -> None:
    assert shadow_route(client).status_code == 200
    answer = client.post("/predict/means?threshold=0.2", json={"instances": [DIFFERENT]}, headers=ASKING)
    assert answer.status_code == 200, answer.text
    receipts_with_a_shadow(client, repository, DIFFERENT, 1)

    assert kept_answers(repository) == 1


@pytest.fixture
def tiny(tmp_path: Path, repository: ModelRepository) -> Iterator[TestClient]:
    repository.start_shadow("means", 2)
    with TestClient(create_app(settings_in(tmp_path, shadow_queue_rows=4))) as client:
        yield client


def test_rows_beyond_the_queue_are_dropped_and_counted(tiny: TestClient) -> None:
    predict(tiny, *[SAME] * 5)
    predict(tiny, *[SAME] * 3)

    until(lambda: compared(tiny)["agreement"]["rows"] == 3, "the rows with room are compared")
    assert compared(tiny)["agreement"]["dropped"] == 5
