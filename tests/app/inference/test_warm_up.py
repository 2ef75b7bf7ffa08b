"""A version answers typical requests before it serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.inference.warm_up import WARM_UPS, warm_up
from app.runtime.load import load
from app.schema import Float32
from modelstore import ModelRepository
from tests.fakes import publish
from tests.typed import publish_typed


class Recording:
    """An engine that keeps what it computes."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.computed: list[Float32] = []

    def infer(self, x: Float32) -> Float32:
        self.computed.append(x)
        answer: Float32 = self.engine.infer(x)
        return answer


@pytest.mark.parametrize("model", ["means", "moments"])
def test_a_version_computes_its_first_golden_row_and_writes_the_answer(repository: ModelRepository, model: str) -> None:
    publish(repository)
    publish_typed(repository)
    loaded = load(repository.find(model, 1), device="cpu")
    engine: Any = Recording(loaded.engine)

    warm_up(replace(loaded, engine=engine))

    assert len(engine.computed) == WARM_UPS
    assert np.array_equal(
        engine.computed[0][0], np.array(loaded.manifest.golden.features[0], np.float32), equal_nan=True
    )
