"""The file is made where it can be, proved, and otherwise left out with the reason."""

from __future__ import annotations

import sys
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modelstore import Notice
from tests.training.samples import clouds, collect, learnt, typed
from training.artifact.manifest import golden_rows
from training.artifact.onnx.make import make_onnx, some_rows
from training.artifact.onnx.write import answers_of
from training.data.dataset import Dataset
from training.learners.mlp.network import Classifier
from training.learners.protocol import predictor


class Hotter(Classifier):
    """Answers otherwise than the class whose function writes it."""

    def forward(self, features: Tensor) -> Tensor:
        """Return less certain probabilities."""
        return torch.softmax(torch.log(super().forward(features)) / 1.001, dim=1)


class Unknown(nn.Module):
    """Half and half."""

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities."""
        return torch.full_like(features[:, :2], 0.5)


def made(module: nn.Module, rows: Dataset) -> tuple[bytes | None, list[str]]:
    """Return the file, and the sentences of the report."""
    golden = golden_rows(predictor(module), rows, rows)
    events, content = collect(lambda report: make_onnx(module, predictor(module), golden, rows, report))
    return content, [event.message for event in events if isinstance(event, Notice)]


def test_a_file_that_answers_alike_is_made_without_a_word() -> None:
    rows = typed(200)
    module = learnt(rows).module

    content, said = made(module, rows)

    assert said == []
    np.testing.assert_allclose(answers_of(cast("bytes", content), rows.x), predictor(module)(rows.x), atol=1e-6)


def test_a_file_that_answers_otherwise_is_left_out_with_the_figure() -> None:
    rows = clouds()
    module = learnt(rows).module
    module.__class__ = Hotter

    content, (said,) = made(module, rows)

    assert content is None
    assert said.startswith("model.onnx is not published: its answers differ from those of model.pt by up to 0.000")
    assert said.endswith("and at most 1e-05 is accepted")


def test_a_module_that_cannot_be_written_is_named() -> None:
    assert made(Unknown(), clouds()) == (
        None,
        ["model.onnx is not written: NotWritable: nothing here writes a Unknown as ONNX"],
    )


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_extra_the_report_says_so(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("training.artifact.onnx.")]:
        monkeypatch.delitem(sys.modules, name)  # `make` is here already; what it imports is not
    monkeypatch.setitem(sys.modules, library, None)

    assert made(learnt(clouds()).module, clouds()) == (
        None,
        [f"model.onnx is not written: the extra onnx is not installed ({library} is missing)"],
    )


def test_rows_to_compare_have_gaps_and_unseen_texts_in_every_second_row() -> None:
    train = typed(5_000, gaps=0)

    x = some_rows(train)

    assert x.shape == (1_000, 6)
    assert not np.isnan(x[::2]).any()
    assert np.isnan(x[1::2]).any(axis=0).all()
    assert np.count_nonzero(x[1::2, 1] == 3) > 50
    assert np.array_equal(np.isnan(x[:, 3]), np.isnan(x[:, 4]))  # both cells of a date
