from __future__ import annotations

import struct

import numpy as np
import pytest

from modelstore import Decision
from training.evaluation.trust_plots import reliability, thresholds


def require_picture(png: bytes) -> None:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (768, 576)
    assert 5_000 < len(png) < 300_000


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (40, 3), (3000, 2)])
def test_reliability_is_a_picture(rows: int, classes: int) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(classes), rows).astype(np.float32)

    require_picture(reliability(probabilities, generator.integers(0, classes, rows), "cloud: $ test rows"))


@pytest.mark.parametrize(
    "decision", [None, Decision(threshold=0.3), Decision(costs=((0, 1), (9, 0))), Decision(costs=((0, -1), (0, 0)))]
)
def test_thresholds_are_a_picture(decision: Decision | None) -> None:
    generator = np.random.default_rng(0)
    second = generator.random(200).astype(np.float32)
    y = (generator.random(200) < second).astype(np.int64)

    pictures = [thresholds(second, y, "a name $ of a class\n" * 9, "title", one) for one in (decision, None)]

    for picture in pictures:
        require_picture(picture)
    assert (pictures[0] == pictures[1]) is (decision is None)
