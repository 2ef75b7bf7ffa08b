"""The client for `async` programs gives the same answers as the other one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pandas as pd
import pytest

from tabserve import (
    AsyncClient,
    AsyncModel,
    AsyncTraining,
    Client,
    Model,
    ServiceError,
    ServiceUnreachable,
    Training,
)
from tests.processes import free_port, service
from tests.tabserve.conftest import ToApp
from tests.tabserve.test_client import Restarting, customers


def test_predictions_and_versions(carried: ToApp) -> None:
    async def talk() -> None:
        async with AsyncClient("http://testserver/ml", transport=carried) as client:
            model = client.model("means")
            frame = pd.DataFrame({"left": [0.0, 1.0], "right": [0.5, 1.0]}, index=[7, 3])
            found = await model.predict(frame)
            assert (list(found.index), found["label"].tolist()) == ([7, 3], ["low", "high"])
            assert [each.name for each in await client.models()] == ["means", "typed"]
            assert (await model.shadow(2))["shadow_version"] == 2
            assert (await model.live(1))["shadow"]["shadow"] == 2
            with pytest.raises(ServiceError, match="labels do not show"):
                await model.promote(2)
            await model.end_shadow(2)
            await client.predict("means", frame.assign(order=["a", "b"]), id_column="order")
            assert (await client.feedback(ids=["a", "b"], labels=["low", "high"]))["taken"] == 2
            assert (await model.activate(2))["serving_version"] == 2
            assert (await model.rollback())["serving_version"] == 1
            await model.delete(2)
            assert [version["version"] for version in await model.versions()] == [1]
            with pytest.raises(ServiceError, match="no such model"):
                await client.model("nothing").info()

    asyncio.run(talk())


@pytest.mark.parametrize(("awaited", "other"), [(AsyncClient, Client), (AsyncModel, Model), (AsyncTraining, Training)])
def test_it_has_all_that_the_other_client_has(awaited: type, other: type) -> None:
    assert {name for name in vars(other) if not name.startswith("_")} <= {*vars(awaited)}


def test_data_sets_and_trainings_are_listed(carried: ToApp) -> None:
    async def talk() -> None:
        async with AsyncClient("http://testserver/ml", transport=carried) as client:
            await client.put_dataset("churn", customers())
            assert [each["name"] for each in await client.datasets()] == ["churn"]
            await client.delete_dataset("churn")
            assert await client.datasets() == []
            assert await client.trainings("means") == []

    asyncio.run(talk())


def test_events_go_on_after_a_service_was_restarted() -> None:
    async def talk() -> None:
        async with AsyncClient("http://there", transport=Restarting(0.3)) as client:
            assert [event async for event in AsyncTraining(client, {"id": "j"}).events()] == [{"event": "result"}]

    asyncio.run(talk())


def test_a_service_that_is_not_there_is_named() -> None:
    async def talk() -> None:
        async with AsyncClient(f"http://127.0.0.1:{free_port()}") as client:
            await client.train("iris", wait=False)

    with pytest.raises(ServiceUnreachable, match="no answer from"):
        asyncio.run(talk())


@pytest.mark.slow
def test_a_file_becomes_a_model_over_a_real_socket(tmp_path: Path) -> None:
    customers().to_csv(tmp_path / "churn.csv", index=False)

    async def talk(url: str) -> None:
        async with AsyncClient(url) as client:
            training = await client.train(
                "churn", tmp_path / "churn.csv", "churned", overrides={"learner": "linear"}, wait=False
            )
            kinds = [event["event"] async for event in training.events()]
            assert kinds[-1] == "result"
            assert (await training.wait()).status == "succeeded"
            assert (await client.training(training.id)).job["version"] == 1

    with service(tmp_path, ready=False) as (http, _):
        asyncio.run(talk(str(http.base_url)))
