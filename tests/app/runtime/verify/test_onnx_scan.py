"""An ONNX file may hold one graph of admitted operators with its weights, nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnx import helper

from app.runtime.verify import onnx_scan
from app.runtime.verify.zip_archive import Forbidden
from tests.app.hostile_onnx import HOSTILE
from tests.onnx_models import graph, mean_constants, mean_nodes, mean_onnx, network_onnx, saved


@pytest.mark.parametrize(("make", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_file_is_refused_with_the_reason(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(Forbidden) as refused:
        onnx_scan.inspect(make())

    assert refused.value.reason == reason


def test_networks_trees_and_large_weights_are_admitted() -> None:
    onnx_scan.inspect(mean_onnx())
    onnx_scan.inspect(network_onnx(torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.ReLU())))
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["probabilities"], domain="ai.onnx.ml",
        nodes_values=[0.5, -1.0] * 300, nodes_nodeids=list(range(600)), nodes_modes=["BRANCH_LEQ"] * 600,
    )  # fmt: skip
    onnx_scan.inspect(saved(graph([trees], {}), ["ai.onnx.ml"]))


def test_sizes_of_the_batch_and_of_constants_are_admitted() -> None:
    """As exporters write `x.reshape(len(x), -1)`."""
    nodes = [
        helper.make_node("Shape", ["features"], ["size"]),
        helper.make_node("Reshape", ["features", "size"], ["rows"]),
        *mean_nodes("rows"),
    ]
    onnx_scan.inspect(saved(graph(nodes, mean_constants())))


def test_damage_anywhere_raises_no_other_error() -> None:
    whole = mean_onnx()
    random = np.random.default_rng(1)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << random.integers(8)
        for data in (whole[:place], bytes(flipped)):
            with contextlib.suppress(Forbidden):
                onnx_scan.inspect(data)
