"""TorchScript answers as the module; its image tells whether answering changed the module."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.runtime.engines.torchscript import ScriptEngine, graph_engine, read_script
from app.runtime.verify.zip_archive import Forbidden
from tests.app import broken
from tests.fakes import MeanModel, script

X = np.array([[0.25, 0.75], [0.0, 0.5]], dtype=np.float32)


def test_answers_are_those_of_the_module_and_leave_its_image() -> None:
    engine = ScriptEngine("cpu", read_script(script(MeanModel(2, 0.0)), "cpu"))
    before = engine.image()

    assert engine.infer(X).tolist() == [[0.5, 0.5], [0.75, 0.25]]
    assert engine.image() == before
    assert ScriptEngine("cpu", read_script(script(MeanModel(2, 0.25)), "cpu")).image() != before


def test_graph_that_does_more_than_compute_is_not_read() -> None:
    with pytest.raises(Forbidden) as refused:
        read_script(script(broken.ActiveDropout(2, 0.0)), "cpu")

    assert refused.value.reason == "training_mode"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_graphs_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert graph_engine(read_script(script(MeanModel(2, 0.0)), "cpu"), 2, "cuda") is None

    assert "without CUDA graphs" in caplog.text
