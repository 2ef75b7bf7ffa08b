"""The scenarios of the Open Inference Protocol run against the real service; the figures are nobody's claim here."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from benchmarks.bench import Bench
from benchmarks.requests import infer_json, infer_tensor
from benchmarks.scenarios.catalogue import SCENARIOS


def test_tensor_request_says_how_much_of_it_is_json() -> None:
    request = infer_tensor(np.ones((3, 4), dtype=np.float32), "label")

    assert request.json_bytes is not None
    assert request.headers["inference-header-content-length"] == str(request.json_bytes)
    assert orjson.loads(request.body[: request.json_bytes])["outputs"] == [{"name": "label"}]
    assert request.body[request.json_bytes :] == np.ones(12, dtype="<f4").tobytes()


def test_json_request_has_the_digits_of_a_person() -> None:
    assert b"[5.1,3.5]" in infer_json(np.array([[5.1, 3.5]], dtype=np.float32)).body


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oip_10000", "oip_one_row"])
def test_scenario_runs(bench: Bench, name: str) -> None:
    outcome = SCENARIOS[name](bench)

    assert outcome.skipped == {}
    assert len(outcome.figures) >= 2
