"""What is asked of a service, without one."""

from __future__ import annotations

import datetime as dt
import json

import httpx
import numpy as np
import pandas as pd
import pytest

from tabserve import ServiceError, WrongInput, steps
from tabserve.options import Options


def test_pages_are_read_to_the_last() -> None:
    asking = steps.versions("churn")
    first = dict(next(asking).query)
    second = asking.send(httpx.Response(200, json={"versions": [{"version": 9}], "next": "/there"}))
    with pytest.raises(StopIteration) as end:
        asking.send(httpx.Response(200, json={"versions": [{"version": 1}], "next": None}))

    assert (first, second.query["before"]) == ({}, 9)
    assert end.value.value == [{"version": 9}, {"version": 1}]


def test_a_model_that_cannot_answer_says_why() -> None:
    asking = steps.predict("churn", [[1]], Options())
    next(asking)

    with pytest.raises(ServiceError, match="churn has no version that can answer: it was refused"):
        asking.send(httpx.Response(200, json={"serving_version": None, "reason": "it was refused"}))


def test_something_else_than_a_table_is_no_data_set() -> None:
    with pytest.raises(WrongInput, match="expected a DataFrame or the path of a file, got list"):
        next(steps.put_dataset("x", [[1]], {}))


def test_labels_are_json_and_one_that_has_none_is_named() -> None:
    labels = [np.int64(3), pd.NA, float("nan"), dt.date(2024, 2, 1)]
    call = next(steps.feedback(["a", "b", "c", "d"], labels))

    sent = [item["label"] for item in json.loads(call.content or b"")["feedback"]]
    assert sent == [3, None, None, "2024-02-01"]
    with pytest.raises(WrongInput, match="label 1 cannot be written as JSON: object is no JSON"):
        next(steps.feedback(ids=["a", "b"], receipts=None, labels=[1, object()]))
