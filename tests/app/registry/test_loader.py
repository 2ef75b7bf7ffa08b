"""Versions in memory: which stay, and which are loaded again."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from starlette.testclient import TestClient

from app.context import CONTEXT, RequestContext, current_request_id
from app.main import create_app
from app.registry.loader import BACKGROUND_NICENESS, Loader
from app.runtime.load import load
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import damage
from tests.app.registry.questions import predicted
from tests.app.waiting import until
from tests.fakes import publish


@pytest.mark.slow
def test_model_that_comes_back_is_not_answered_from_memory(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    assert predicted(client, "/predict/means/versions/2").status_code == 200
    shutil.rmtree(repository.root / "means")
    until(lambda: predicted(client).status_code == 404, "the model is forgotten")

    publish(repository)
    publish(repository, shift=0.5)
    until(lambda: predicted(client).status_code == 200, "the model is back")

    answer = client.post("/predict/means/versions/2", json={"instances": [[0, 0]]}).json()
    assert answer["predictions"][0]["probabilities"]["high"] == 0.5


def test_so_many_versions_asked_for_by_number_stay_loaded_and_the_one_unused_longest_goes(
    settings: Settings, repository: ModelRepository
) -> None:
    for _ in range(4):
        publish(repository)
    app = create_app(settings.model_copy(update={"max_loaded_versions": 2}))
    with TestClient(app) as client:
        for version in (1, 2, 1, 3):
            assert predicted(client, f"/predict/means/versions/{version}").json()["version"] == version
        for version in (1, 2, 3, 4):
            damage(repository, version)  # what is in memory is not looked at again

        codes = [predicted(client, f"/predict/means/versions/{version}").status_code for version in (1, 2, 3, 4)]

    assert codes == [200, 409, 200, 200]


def test_versions_asked_for_by_number_never_push_out_the_one_that_serves(
    settings: Settings, repository: ModelRepository
) -> None:
    for _ in range(4):
        publish(repository)
    with TestClient(create_app(settings.model_copy(update={"max_loaded_versions": 1}))) as client:
        for version in (1, 2, 3):
            assert predicted(client, f"/predict/means/versions/{version}").status_code == 200
        damage(repository, 4)

        assert predicted(client).json()["version"] == 4
        assert client.post("/models/means/versions/3/activate").status_code == 200
        assert predicted(client, "/predict/means/versions/4").status_code == 200  # from memory


@pytest.fixture
def loader() -> Iterator[Loader]:
    loader = Loader(partial(load, device="cpu"), max_versions=1)
    yield loader
    loader.close()


def test_unchanged_version_is_loaded_once_and_a_forgotten_one_again(
    loader: Loader, repository: ModelRepository
) -> None:
    publish(repository)
    found = repository.find("means", 1)

    first = loader.load(found)
    assert loader.load(found) is first
    assert loader.find_cached("means", 1) is first
    assert loader.caches(first)

    assert loader.forget("means", 1) == found.fingerprint()
    assert loader.forget("means", 1) == ()
    assert loader.find_cached("means", 1) is None
    assert not loader.caches(first)
    assert loader.load(found) is not first


def test_trimming_keeps_what_serves_and_what_was_used_last(loader: Loader, repository: ModelRepository) -> None:
    for _ in range(3):
        publish(repository)
    one, two, three = (loader.load(repository.find("means", version)) for version in (1, 2, 3))
    assert loader.find_cached("means", 2) is two

    loader.trim(frozenset({one}))

    assert loader.list_cached() == (one, two)
    assert not loader.caches(three)


def test_versions_of_models_that_left_the_store_are_dropped(loader: Loader, repository: ModelRepository) -> None:
    for name in ("means", "others"):
        publish(repository, name)
        loader.load(repository.find(name, 1))

    loader.forget_all_but(frozenset({"others"}))

    assert [loaded.schema.name for loaded in loader.list_cached()] == ["others"]


def test_work_runs_in_one_thread_of_low_priority_with_the_context_of_its_caller(loader: Loader) -> None:
    def where() -> tuple[str, int, str | None]:
        niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return threading.current_thread().name, niceness, current_request_id()

    async def scene() -> tuple[str, int, str | None]:
        CONTEXT.set(RequestContext("r1"))
        return await loader.run(where)

    name, niceness, request_id = asyncio.run(scene())
    assert (name.startswith("loader"), request_id) == (True, "r1")
    assert niceness >= BACKGROUND_NICENESS
