"""The file keeps its contract, for every learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from modelstore.overrides import Image
from tests.training.artifact.onnx.running import both
from tests.training.learners.auto.fakes import BlendLearner
from tests.training.samples import clouds, ignore, learnt, typed
from training.artifact.onnx.opset import ML, OPSET
from training.artifact.onnx.write import answers_of, to_onnx
from training.config.learner_settings import TrainingSettings
from training.learners.calibrated import fit_calibrated
from training.learners.cnn.fit import CNNLearner
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner

SETTINGS = TrainingSettings(epochs=5)


def test_a_file_is_one_function_of_standard_operators_with_any_number_of_rows() -> None:
    rows = clouds(60, classes=3, features=4)
    content = to_onnx(learnt(rows).module, "probabilities", 4, 3)

    model = onnx.load_from_string(content)
    (given,), (answered,) = model.graph.input, model.graph.output
    for tensor, name, width in ((given, "features", 4), (answered, "probabilities", 3)):
        sizes = tensor.type.tensor_type.shape.dim
        assert (tensor.name, tensor.type.tensor_type.elem_type) == (name, onnx.TensorProto.FLOAT)
        assert (sizes[0].dim_param, sizes[1].dim_value) == ("N", width)
    assert {version.domain: version.version for version in model.opset_import} == {"": OPSET, ML: 3}
    assert not any(constant.external_data for constant in model.graph.initializer)
    assert len(answers_of(content, rows.x[:1])) == 1
    assert len(answers_of(content, rows.x)) == 60


def test_the_same_module_gives_the_same_bytes() -> None:
    module = learnt(clouds()).module

    assert to_onnx(module, "probabilities", 2, 2) == to_onnx(module, "probabilities", 2, 2)


@pytest.mark.parametrize(
    "learner",
    [
        LinearLearner,
        MLPLearner,
        TreesLearner,
        pytest.param(RealMLPLearner, marks=pytest.mark.slow),
        pytest.param(BlendLearner, marks=pytest.mark.slow),
    ],
)
def test_every_learner_agrees_on_10_000_rows_with_gaps_and_unseen_texts(
    learner: Callable[[TrainingSettings], Learner],
) -> None:
    settings = TrainingSettings(learner="realmlp", budget_s=1) if learner is RealMLPLearner else SETTINGS
    module = learner(settings).fit(typed(300), typed(60, seed=2), ignore).module

    answers, expected = both(module, typed(10_000, seed=1, gaps=0.2).x)

    np.testing.assert_allclose(answers, expected, atol=2e-6)


@pytest.mark.slow
def test_images_and_what_auto_makes_agree() -> None:
    pixels = clouds(200, classes=3, features=64)
    image = TrainingSettings(learner="cnn", image=Image(height=8, width=8), filters=(4,), hidden=(8,), epochs=3)
    auto = TrainingSettings(learner="auto", budget_s=2)
    far = replace(typed(2000, seed=1), x=typed(2000, seed=1).x * np.float32(3))

    for module, x in (
        (CNNLearner(image).fit(pixels, None, ignore).module, pixels.x),
        (fit_calibrated(auto, typed(300), None, ignore).module, far.x),
    ):
        answers, expected = both(module, x)
        np.testing.assert_allclose(answers, expected, atol=5e-6)
