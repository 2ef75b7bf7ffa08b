"""Models as `AsyncClient` returns them; trainings are in test_async_client.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

from modelstore import ModelRepository
from tabserve import AsyncClient
from tests.fakes import MeanModel, manifest_for, script
from tests.tabserve.conftest import ToApp


def test_card_plots_and_artifact_are_those_of_the_version(
    carried: ToApp, repository: ModelRepository, tmp_path: Path
) -> None:
    data = script(MeanModel(2, 0.0))
    files = {"confusion.png": b"\x89PNG", "reliability.json": b'{"rows":5}'}
    drawn = repository.publish(manifest_for(MeanModel(2, 0.0), data), data, files).version

    async def talk() -> None:
        async with AsyncClient("http://testserver/ml", transport=carried) as client:
            model = client.model("means")
            assert (await model.card())["bomFormat"] == "CycloneDX"
            assert f"means version {drawn}" in await model.card(drawn, form="html")
            assert await model.plots(drawn) == {"plots": ["confusion"], "data": ["reliability"]}
            assert await model.plot("confusion", drawn) == b"\x89PNG"
            assert await model.plot_data("reliability", drawn) == {"rows": 5}
            assert (await model.version(drawn))["state"] == "stored"
            assert (await model.download(tmp_path / "model.pt", drawn)).read_bytes() == data

    asyncio.run(talk())
