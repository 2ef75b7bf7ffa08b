"""Tables of any size become bodies of at most 1 MiB, and answers become tables."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabserve import WrongInput, tables
from tabserve.columns import Columns

KNOWN = Columns(1, {"x": "numeric", "t": "categorical"}, frozenset())


def test_a_frame_is_split_and_every_row_is_sent_once() -> None:
    frame = pd.DataFrame({"x": np.arange(50_000.0), "t": ["a" * (row % 90) for row in range(50_000)]})
    bodies = list(tables.frame_bodies(frame, KNOWN))

    assert len(bodies) > 2
    assert max(len(body.content) for body in bodies) <= tables.MAX_BODY_BYTES
    read = pd.concat([pa.ipc.open_stream(body.content).read_all().to_pandas() for body in bodies], ignore_index=True)
    assert read["x"].tolist() == frame["x"].tolist()
    assert [body.before for body in bodies] == np.cumsum([0, *_rows(bodies)])[:-1].tolist()


def _rows(bodies: list[tables.Body]) -> list[int]:
    return [pa.ipc.open_stream(body.content).read_all().num_rows for body in bodies]


def test_rows_that_take_long_are_sent_in_small_bodies() -> None:
    in_frame = list(tables.frame_bodies(pd.DataFrame({"x": np.arange(70.0)}), KNOWN, few=True))
    as_rows = list(tables.row_bodies([[1.5]] * 70, few=True))

    assert [body.before for body in in_frame] == [body.before for body in as_rows] == [0, 32, 64]


def test_without_arrow_a_frame_is_csv_with_exact_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "has", lambda package: package != "pyarrow")
    (body,) = tables.frame_bodies(pd.DataFrame({"x": [0.1, np.nan], "t": ["a,b", None]}), KNOWN)

    assert (body.content_type, body.content) == (tables.CSV, b'x,t\n0.1,"a,b"\n,\n')


def test_rows_are_lines_of_json_with_null_for_gaps() -> None:
    (body,) = tables.row_bodies([[1, float("nan")], {"x": np.float32(0.5), "t": np.str_("a")}, np.array([1, 2])])

    assert [json.loads(line) for line in body.content.splitlines()] == [[1, None], {"x": 0.5, "t": "a"}, [1, 2]]
    with pytest.raises(WrongInput, match="row 1 cannot be written as JSON"):
        list(tables.row_bodies([[1], [object()]]))


def test_rows_have_null_for_the_gaps_of_pandas_and_texts_for_times_of_any_unit() -> None:
    time = np.datetime64("2024-02-01T10:00", "ns")
    rows = [
        [pd.NaT, pd.NA, np.datetime64("NaT"), np.float32("nan")],
        {"t": time},
        np.array([time]),
        [dt.date(2024, 2, 1)],
    ]
    (body,) = tables.row_bodies(rows)

    sent = [json.loads(line) for line in body.content.splitlines()]
    assert sent == [[None] * 4, {"t": "2024-02-01T10:00:00"}, ["2024-02-01T10:00:00"], ["2024-02-01"]]


def test_the_decision_of_a_quantity_is_a_number_and_nan_where_nothing_is_decided() -> None:
    answer = b"value,low,high,decision,abstained\n2.5,2,3,2.5,\n9,,,,wide_interval\n"
    frame = tables.read_frame([answer], tables.CSV, pd.Index([0, 1]))

    assert (frame.dtypes[["value", "low", "high", "decision"]] == "float32").all()
    assert frame["decision"].isna().tolist() == frame["high"].isna().tolist() == [False, True]
    assert frame["abstained"].tolist() == ["", "wide_interval"]


def test_a_column_of_numbers_is_one_where_some_rows_or_all_have_none() -> None:
    head = b"label,probability,contribution_x,receipt\n"
    explained = tables.read_frame([head + b"7,0.5,0.25,123\n7,0.9,,456\n"], tables.CSV, None)
    none = tables.read_frame([head], tables.CSV, None)

    assert explained["contribution_x"].fillna(-1).tolist() == [0.25, -1]
    assert explained.dtypes.to_dict() == none.dtypes.to_dict()
    assert (none.dtypes[["probability", "contribution_x"]] == "float32").all()
    assert explained[["label", "receipt"]].iloc[0].tolist() == ["7", "123"]


def test_answers_become_one_frame_with_texts_as_labels() -> None:
    answer = b"label,probability,probability_1,probability_NA\nNA,0.75,0.25,0.75\n"
    frame = tables.read_frame([answer, answer], tables.CSV, pd.Index(["a", "b"]))

    assert frame["label"].tolist() == ["NA", "NA"]
    assert frame["probability"].dtype == np.float32
    assert list(frame.index) == ["a", "b"]
    assert tables.without_header(answer, tables.CSV) == b"NA,0.75,0.25,0.75\n"
    assert tables.read_rows([b'{"label": "a"}\n']) == [{"label": "a"}]
