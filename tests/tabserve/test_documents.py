"""Model cards, plots and artifacts through the client of the real app."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ModelRepository
from tabserve import Client, ServiceError, TabserveError
from tests.fakes import MeanModel, manifest_for, script
from tests.tabserve.conftest import ToApp


@pytest.fixture
def drawn(ours: Client, repository: ModelRepository) -> int:
    """Return a version of `means` that has a picture and the data of a plot; it does not serve."""
    data = script(MeanModel(2, 0.0))
    files = {"confusion.png": b"\x89PNG", "reliability.json": b'{"rows":5}'}
    return repository.publish(manifest_for(MeanModel(2, 0.0), data), data, files).version


def test_card_comes_in_three_forms_of_the_serving_version_or_another(ours: Client, drawn: int) -> None:
    model = ours.model("means")

    assert model.card()["bomFormat"] == "CycloneDX"
    assert model.card(form="markdown").startswith("# ")
    assert "means version 1" in model.card(form="html")
    assert f"means version {drawn}" in model.card(drawn, form="html")


def test_plots_come_as_pictures_and_as_data(ours: Client, drawn: int) -> None:
    model = ours.model("means")

    assert model.plots() == {"plots": [], "data": []}
    assert model.plots(drawn) == {"plots": ["confusion"], "data": ["reliability"]}
    assert model.plot("confusion", drawn) == b"\x89PNG"
    assert model.plot_data("reliability", drawn) == {"rows": 5}
    with pytest.raises(ServiceError) as caught:
        model.plot("loss", drawn)
    assert caught.value.status == 404


def test_artifact_is_the_published_file_or_nothing_is_written(
    ours: Client, carried: ToApp, repository: ModelRepository, tmp_path: Path
) -> None:
    model, published = ours.model("means"), repository.root / "means" / "1" / "model.pt"

    assert model.download(tmp_path / "means.pt").read_bytes() == published.read_bytes()
    carried.damage = lambda path, content: content[:-1] + b"!" if path.endswith("model.pt") else content
    with pytest.raises(TabserveError, match="did not arrive as it was published"):
        model.download(tmp_path / "torn.pt", 1)
    with pytest.raises(ServiceError) as caught:
        model.download(tmp_path / "torn.pt", 9)
    assert caught.value.status == 404
    assert not (tmp_path / "torn.pt").exists()
