"""The leader board in a manifest."""

from __future__ import annotations

import json

import jsonschema
import pytest
from pydantic import ValidationError

from modelstore import Baseline, Leader, LeaderBoard, Manifest
from modelstore.__main__ import manifest_schema
from tests.modelstore.samples import sample_manifest

BOARD = LeaderBoard(
    rows=8,
    leaders=(
        Leader(
            name="petals",
            role="model",
            figures=Baseline(accuracy=0.875, log_loss=0.25),
            error=0.1,
            train_s=1.5,
            row_us=25,
        ),
        Leader(
            name="linear",
            role="member",
            figures=Baseline(accuracy=0.75, log_loss=0.5),
            weight=0.25,
            train_s=0.5,
            row_us=9.5,
        ),
    ),
    conclusion="no simple model is as good",
)


def test_a_board_comes_back_from_a_manifest_as_it_went_in() -> None:
    written = sample_manifest(leaders=BOARD).to_json()

    assert Manifest.from_json(written).leaders == BOARD
    jsonschema.validate(json.loads(written), json.loads(manifest_schema()))


def test_manifests_without_a_board_are_read() -> None:
    assert b"leaders" not in sample_manifest().to_json()
    assert Manifest.from_json(sample_manifest().to_json()).leaders is None


@pytest.mark.parametrize("change", [{"weight": 1.5}, {"role": "champion"}, {"row_us": -1.0}, {"error": float("nan")}])
def test_impossible_figures_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Leader.model_validate({**BOARD.leaders[0].model_dump(), **change})
