from __future__ import annotations

import io

import numpy as np
import orjson
import pytest

from benchmarks.requests import Request, arrow_rows, csv_rows, float32_rows, json_rows

X = np.array([[0.1, 2.0], [3.5, -4.0]], dtype=np.float32)


def test_json_has_the_digits_that_a_person_would_type() -> None:
    assert orjson.loads(json_rows(X).body) == {"instances": [[0.1, 2.0], [3.5, -4.0]]}


def test_csv_has_a_header_line_and_the_digits_that_a_person_would_type() -> None:
    assert csv_rows(X, ("a", "b")).body == b"a,b\n0.1,2.0\n3.5,-4.0\n"


def test_float32_is_little_endian_and_row_by_row() -> None:
    assert float32_rows(X).body == np.array([0.1, 2.0, 3.5, -4.0], dtype="<f4").tobytes()


def test_arrow_has_a_column_for_each_feature() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.ipc.open_stream(io.BytesIO(arrow_rows(X, ("a", "b")).body)).read_all()
    assert table.to_pydict() == {"a": X[:, 0].tolist(), "b": X[:, 1].tolist()}


def test_a_request_travels_with_its_length() -> None:
    wire = Request("/x", b"abc", 1, "text/plain", "text/csv").wire()
    head, _, body = wire.partition(b"\r\n\r\n")
    assert body == b"abc"
    assert head.split(b"\r\n") == [
        b"POST /x HTTP/1.1",
        b"host: 127.0.0.1",
        b"content-type: text/plain",
        b"accept: text/csv",
        b"content-length: 3",
    ]


def test_request_in_chunks_says_so_instead_of_its_length() -> None:
    head = Request("/x", b"abc", 1, "text/plain").chunked_head()
    assert (
        head == b"POST /x HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    )
