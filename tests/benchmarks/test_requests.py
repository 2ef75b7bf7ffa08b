from __future__ import annotations

import io

import numpy as np
import orjson
import pytest

from benchmarks.requests import Request, arrow_rows, csv_rows, float32_rows, infer_json, infer_tensor, json_rows

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


def test_tensor_request_says_how_much_of_it_is_json() -> None:
    request = infer_tensor(np.ones((3, 4), dtype=np.float32), "label")

    assert request.json_bytes is not None
    assert request.headers["inference-header-content-length"] == str(request.json_bytes)
    assert orjson.loads(request.body[: request.json_bytes])["outputs"] == [{"name": "label"}]
    assert request.body[request.json_bytes :] == np.ones(12, dtype="<f4").tobytes()


def test_json_request_has_the_digits_of_a_person() -> None:
    assert b"[5.1,3.5]" in infer_json(np.array([[5.1, 3.5]], dtype=np.float32)).body
