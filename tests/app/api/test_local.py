"""One version without a service; tests/tabserve/test_local.py predicts with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from app.api.local import LocalService
from app.api.routes.predict import MAX_WHOLE_BYTES
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


@pytest.mark.parametrize("headers", [{}, {"transfer-encoding": "chunked"}], ids=["declared", "chunked"])
def test_a_bad_row_late_in_a_large_body_is_named_before_anything_is_answered(
    headers: dict[str, str], repository: ModelRepository
) -> None:
    publish(repository)
    service = LocalService(repository.root / "means" / "1")
    body = b"left,right\n" + b"0.25,0.5\n" * 120_000 + b"0.25,x\n"
    assert len(body) > MAX_WHOLE_BYTES

    async def talk() -> None:
        await service.open()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://local") as client:
            kind = {"content-type": "text/csv"}
            refused = await client.post("/predict/means", content=body, headers=kind | headers)
        await service.close()

        assert (refused.status_code, refused.json()["errors"][0]["row"]) == (422, 120_002)

    asyncio.run(talk())


def test_a_signature_is_asked_for_with_a_key(tmp_path: Path, repository: ModelRepository) -> None:
    publish(repository)
    SigningKey.create(tmp_path / "key")

    with pytest.raises(Exception, match="refused"):
        asyncio.run(LocalService(repository.root / "means" / "1", tmp_path / "key").open())
