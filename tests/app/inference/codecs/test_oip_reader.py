"""Requests are read for the pipeline with their deadline, in steps or as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.inference.codecs.oip_answers import BINARY, JSON
from app.inference.codecs.oip_reader import OipReader, example_body
from app.inference.errors import TooManyRows
from app.inference.offload import SMALL_BYTES
from tests.app.oip import TWO, announced, body_of, infer, tensor, whole
from tests.app.tables import rows, schema_of
from tests.app.typed import typed_schema


@pytest.mark.parametrize("timeout", [0, 10_000_000])
def test_timeout_that_is_long_enough_changes_nothing(steady: TestClient, timeout: int) -> None:
    assert infer(steady, parameters={"timeout": timeout, "priority": 1}).content == infer(steady).content


@pytest.mark.parametrize("count", [2, 5000])
def test_timeout_that_passes_before_the_rows_are_computed_is_504(steady: TestClient, count: int) -> None:
    answer = infer(steady, [tensor(rows(count))], parameters={"timeout": 1})

    assert answer.status_code == 504
    assert "timeout" in answer.json()["error"]


def test_deadline_counts_from_the_arrival_once_the_request_is_read() -> None:
    reader = OipReader(body_of(whole([tensor(TWO)], parameters={"timeout": 5})), 1000)
    unread = reader.deadline_ns

    reader.parse(10)

    assert (unread, reader.deadline_ns) == (None, 6000)
    assert reader.rows(schema_of(("left", "right"))).tolist() == TWO
    assert reader.deadline_ns == 6000


def test_large_tensor_of_json_is_read_in_steps_and_small_or_binary_ones_are_not() -> None:
    x, schema = rows(20_000), schema_of(("left", "right"))
    large = OipReader(body_of(whole([tensor(x)])), 0)
    described, part = announced(x)

    assert large.has_steps
    assert np.concatenate(list(large.steps(schema))).tobytes() == x.tobytes()
    assert not OipReader(body_of(whole([tensor(TWO)])), 0).has_steps
    assert not OipReader(body_of(whole([described]), part), 0).has_steps


def test_values_that_are_converted_one_by_one_count_however_they_come() -> None:
    described, part = announced(rows(20_000))
    numbers = OipReader(body_of(whole([described]), part), 0)
    texts = OipReader(body_of(whole([{**described, "datatype": "BYTES"}]), part), 0)

    for reader in (numbers, texts):
        reader.parse(20_000)

    assert numbers.rows_bytes(schema_of(("left", "right"))) == numbers.size_bytes < SMALL_BYTES
    assert numbers.rows_bytes(typed_schema()) > len(part) > SMALL_BYTES
    assert texts.rows_bytes(schema_of(("left", "right"))) > len(part)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_more_rows_than_allowed_are_refused_before_their_values_are_read(binary: bool) -> None:
    described, part = announced([1.0, 2.0, 3.0])
    body = body_of(whole([described]), part) if binary else body_of(whole([tensor([1.0, 2.0, 3.0])]))

    OipReader(body, 0).parse(3)
    with pytest.raises(TooManyRows):
        OipReader(body, 0).parse(2)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_example_is_a_request_that_can_be_read(binary: bool) -> None:
    reader = OipReader(example_body(schema_of(("left", "right")), [0.25, 0.5], binary=binary), 0)

    reader.parse(1)

    assert reader.rows(schema_of(("left", "right"))).tolist() == [[0.25, 0.5]]
    assert reader.writer(schema_of(("left", "right"))).content_type == (BINARY if binary else JSON)
