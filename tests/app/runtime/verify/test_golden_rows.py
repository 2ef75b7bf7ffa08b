"""What an engine must answer for the rows whose answers are known, alone and in company."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from app.runtime.errors import VersionRefused
from app.runtime.verify.golden_rows import prove, prove_independence
from app.schema import Float32
from tests.fakes import MeanModel, manifest_for

MODEL = MeanModel(2, 0.0)
MANIFEST = manifest_for(MODEL, b"a model")


def right(x: Float32) -> Float32:
    """Return the answers of training for rows, shape (N, F)."""
    with torch.inference_mode():
        answers: Float32 = MODEL(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return answers


@dataclass
class Answers:
    """An engine of which a test decides what it answers."""

    infer: Callable[[Float32], Float32]
    name: str = "known"


class Drifting:
    """Answers otherwise each time, by less than the tolerance."""

    name = "drifting"

    def __init__(self) -> None:
        self._calls = 0

    def infer(self, x: Float32) -> Float32:
        self._calls += 1
        step = np.float32(1e-7 * self._calls)
        return right(x) + np.array([step, -step], dtype=np.float32)


def test_right_answers_prove_the_version_alone_and_in_company() -> None:
    prove(Answers(right), MANIFEST, 1)
    prove_independence(Answers(right), MANIFEST, 1)


@pytest.mark.parametrize(
    ("infer", "reason"),
    [
        (lambda x: right(x)[:, :1], "contract_shape"),
        (lambda x: right(x).astype(np.float64), "contract_type"),
        (lambda x: right(x) * np.float32("nan"), "contract_finite"),
        (lambda x: right(x) * np.float32(2), "contract_sum"),
        (lambda x: right(x)[:, ::-1], "golden_mismatch"),
    ],
    ids=["another shape", "another type", "not a number", "another sum", "classes changed over"],
)
def test_wrong_answers_are_refused_with_the_reason(infer: Callable[[Float32], Float32], reason: str) -> None:
    with pytest.raises(VersionRefused) as caught:
        prove(Answers(infer), MANIFEST, 7)

    assert (caught.value.name, caught.value.version, caught.value.reason) == ("means", 7, reason)


def test_answer_that_is_no_tensor_is_refused() -> None:
    def fail(_: Float32) -> Float32:
        raise AttributeError("tuple has no cpu()")

    with pytest.raises(VersionRefused) as caught:
        prove(Answers(fail), MANIFEST, 1)
    assert caught.value.reason == "contract_output"


def test_equal_calls_with_different_answers_are_refused_however_little_they_differ() -> None:
    with pytest.raises(VersionRefused) as caught:
        prove(Drifting(), MANIFEST, 1)

    assert caught.value.reason == "not_deterministic"


def test_answer_that_depends_on_the_other_rows_is_refused_and_the_company_is_named() -> None:
    def centred(x: Float32) -> Float32:
        return right(x - x.mean(axis=0) + np.float32(0.5)) if len(x) != len(MANIFEST.golden.features) else right(x)

    prove(Answers(centred), MANIFEST, 1)
    with pytest.raises(VersionRefused) as caught:
        prove_independence(Answers(centred), MANIFEST, 1)

    assert caught.value.reason == "rows_not_independent"
    assert "when golden rows are asked alone" in caught.value.detail
