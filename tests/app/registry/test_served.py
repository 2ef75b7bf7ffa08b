"""The states of models are replaced as a whole, and each change is told once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.registry.errors import ModelNotFound, ModelNotReady
from app.registry.loader import Loader
from app.registry.served import ServedModels
from app.registry.state import Refusal, ServedModel
from app.runtime.load import load
from modelstore import ModelRepository
from tests.fakes import publish

REFUSAL = Refusal("integrity_sha256", "it is not the file that was published", (1,))


def test_a_swap_and_a_refusal_are_told_once_and_what_is_recorded_is_not_told(tmp_path: Path) -> None:
    told: list[str] = []
    repository = ModelRepository(tmp_path)
    found = repository.find("means", publish(repository))
    loader = Loader(lambda version: load(version, device="cpu"), max_versions=1)
    served = ServedModels(loader, told.append)
    served.record(ServedModel("others", refused={1: REFUSAL}))
    model = ServedModel("means", active=1, loaded=loader.load(found))
    for _ in range(2):
        served.put(model)
        served.put(replace(model, refused={2: REFUSAL}))
    loader.close()

    assert told == ["served", "refused", "refused"]  # the second time, the refusal was gone in between
    assert served.swapped.is_set()
    assert served.active("means") is model.loaded
    assert served.names() == ("means", "others")
    assert list(served.versions_in_use()) == [model.loaded]


def test_a_version_has_its_shadow_as_long_as_it_serves(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    loader = Loader(lambda version: load(version, device="cpu"), max_versions=1)
    one, two = (loader.load(repository.find("means", publish(repository))) for _ in range(2))
    served = ServedModels(loader, lambda _: None)
    shadows = served.shadows
    served.put(ServedModel("means", active=1, loaded=one, shadow=two))
    before = dict(shadows)
    served.forget("means")
    loader.close()

    assert before == {one: two}
    assert (shadows, loader.list_cached()) == ({}, ())
    with pytest.raises(ModelNotFound):
        served.active("means")


def test_threads_list_models_while_others_are_forgotten() -> None:
    served = ServedModels(Loader(lambda _: None, max_versions=1), lambda _: None)  # type: ignore[arg-type, return-value]
    names = [f"model{number:03}" for number in range(300)]
    for name in names:
        served.record(ServedModel(name))
    with ThreadPoolExecutor(1) as thread:
        listing = thread.submit(lambda: [len(served.models()) for _ in iter(served.names, ())])
        for name in names:
            served.forget(name)

        counts = listing.result()

    assert counts == sorted(counts, reverse=True)


def test_a_model_without_a_version_that_serves_says_why() -> None:
    served = ServedModels(Loader(lambda _: None, max_versions=1), lambda _: None)  # type: ignore[arg-type, return-value]
    served.record(ServedModel("means", active=1, refused={1: REFUSAL}))

    with pytest.raises(ModelNotReady, match="integrity_sha256: it is not the file"):
        served.active("means")
    assert served.find("others") is None
