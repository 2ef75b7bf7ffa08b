"""One version without a service; tests/tabserve/test_local.py predicts with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.local import LocalService
from modelstore import ModelRepository, SigningKey
from tests.fakes import publish


def test_only_the_version_of_the_folder_is_loaded(repository: ModelRepository) -> None:
    publish(repository)
    publish(repository, shift=0.25)
    publish(repository, "broken")
    (repository.root / "broken" / "1" / "model.pt").write_bytes(b"")
    service = LocalService(repository.root / "means" / "2")

    async def talk() -> None:
        await service.open()
        assert [(model.name, model.serving) for model in service.registry.models()] == [("means", 2)]
        await service.close()

    asyncio.run(talk())


def test_a_signature_is_asked_for_with_a_key(tmp_path: Path, repository: ModelRepository) -> None:
    publish(repository)
    SigningKey.create(tmp_path / "key")

    with pytest.raises(Exception, match="refused"):
        asyncio.run(LocalService(repository.root / "means" / "1", tmp_path / "key").open())
