"""The registry follows the store on the disk."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.registry.watcher import look
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.exchange import exchange
from tests.app.registry.questions import predicted
from tests.app.waiting import until
from tests.fakes import publish


def test_new_model_is_served_without_a_restart(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, "later")

    until(lambda: predicted(client, "/predict/later").status_code == 200, "the new model serves")


def test_removed_model_disappears(client: TestClient, repository: ModelRepository) -> None:
    shutil.rmtree(repository.root / "means")

    until(lambda: predicted(client).status_code == 404, "the model is forgotten")

    assert [model["name"] for model in client.get("/models").json()["models"]] == ["thirds"]
    assert client.get("/readyz").status_code == 200


def test_models_folder_that_cannot_be_listed_any_more_is_said_once_and_what_serves_goes_on(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish(repository)
    link, said = repository.root.with_name("link"), "the models folder cannot be listed"
    loop = repository.root.with_name("loop")
    link.symlink_to(repository.root)
    loop.symlink_to(link)
    with TestClient(create_app(settings.model_copy(update={"models_dir": link}))) as client:
        exchange(link, loop)
        until(lambda: said in caplog.text, "the trouble is noticed")
        assert predicted(client).status_code == 200

        publish(repository, shift=0.5)
        exchange(link, loop)

        until(lambda: predicted(client).json()["version"] == 2, "the store is looked at again")
    assert caplog.text.count(said) == 1
    assert "Traceback" not in caplog.text


class Unwell:
    """Stands for a registry whose looks at the store end in the given errors, one after the other."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)

    async def refresh(self) -> None:
        if error := self._errors.pop(0):
            raise error


def test_trouble_is_logged_when_it_begins_or_changes_and_not_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    registry: Any = Unwell(OSError("gone"), OSError("gone"), OSError("forbidden"), None, OSError("gone"))

    async def scene() -> list[str | None]:
        trouble: list[str | None] = [None]
        for _ in range(5):
            trouble.append(await look(registry, trouble[-1]))
        return trouble[1:]

    assert asyncio.run(scene()) == ["gone", "gone", "forbidden", None, "gone"]
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["gone", "forbidden", "gone"]


def test_error_that_was_not_foreseen_is_logged_and_the_looks_go_on(caplog: pytest.LogCaptureFixture) -> None:
    registry: Any = Unwell(ZeroDivisionError(), None)

    assert [asyncio.run(look(registry)) for _ in range(2)] == [None, None]
    assert caplog.text.count("the model store could not be looked at") == 1
