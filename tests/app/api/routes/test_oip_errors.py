"""Errors below /v2 are `{"error": ...}` with the right status; hostile bodies cost little."""

from __future__ import annotations

import gc
import json
import math
import resource
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.app.oip import INFER, JSON_BYTES, announced, tensor, whole
from tests.app.problems import SECRET, assert_failure

GOOD = whole([tensor([[0.5, 0.5]])])
REFUSALS = {400, 404, 413, 415}
GROWTH_BYTES = 64 << 20


FAILURES = {
    "no such route": (404, "GET", f"/v2/{SECRET}"),
    "no such route below models": (404, "GET", f"/v2/models/means/{SECRET}"),
    "configuration": (404, "GET", "/v2/models/means/config"),
    "load": (404, "POST", "/v2/repository/models/means/load"),
    "shared memory": (404, "POST", "/v2/systemsharedmemory/region/a/register"),
    "wrong method on the server": (405, "POST", "/v2"),
    "wrong method on a model": (405, "DELETE", "/v2/models/means"),
    "wrong method on infer": (405, "GET", INFER),
    "wrong method on the index": (405, "GET", "/v2/repository/index"),
    "made-up method": (405, SECRET.upper(), INFER),
    "unknown model": (404, "GET", f"/v2/models/{SECRET}"),
    "unknown model, ready": (404, "GET", f"/v2/models/{SECRET}/ready"),
    "unknown model, infer": (404, "POST", f"/v2/models/{SECRET}/infer"),
    "unknown model, version infer": (404, "POST", f"/v2/models/{SECRET}/versions/1/infer"),
    "unknown model, statistics": (404, "GET", f"/v2/models/{SECRET}/stats"),
    "unknown version": (404, "GET", "/v2/models/means/versions/77"),
    "unknown version, ready": (404, "GET", "/v2/models/means/versions/77/ready"),
    "unknown version, infer": (404, "POST", "/v2/models/means/versions/77/infer"),
    "version 0": (404, "POST", "/v2/models/means/versions/0/infer"),
    "version is a word": (400, "GET", f"/v2/models/means/versions/{SECRET}"),
    "version is a word, infer": (400, "POST", f"/v2/models/means/versions/{SECRET}/infer"),
    "version is written in another way": (400, "GET", "/v2/models/means/versions/01"),
    "version is written in another way, ready": (400, "GET", "/v2/models/means/versions/01/ready"),
    "version is written in another way, infer": (400, "POST", "/v2/models/means/versions/01/infer"),
    "version has many digits": (400, "POST", "/v2/models/means/versions/" + "9" * 5000 + "/infer"),
    "model is a path": (404, "POST", "/v2/models/..%2F..%2Fetc/infer"),
}


@pytest.mark.parametrize(("status", "method", "path"), FAILURES.values(), ids=FAILURES.keys())
def test_every_failure_has_the_shape_of_the_protocol(steady: TestClient, status: int, method: str, path: str) -> None:
    answer = steady.request(method, path, content=GOOD if method == "POST" else None)

    assert_failure(answer, status)
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.parametrize("path", ["/v2x", "/v20/models", "/V2", "/models/v2/x"])
def test_paths_that_only_look_like_it_keep_problem_details(steady: TestClient, path: str) -> None:
    assert steady.get(path).headers["content-type"] == "application/problem+json"


def test_index_is_not_asked_for_what_it_does_not_know(steady: TestClient) -> None:
    assert_failure(steady.post("/v2/repository/index", json={"ready": True, "redy": True}), 400)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}', b"[" * 60_000, SECRET.encode()])
def test_index_refuses_what_it_does_not_understand(steady: TestClient, body: bytes) -> None:
    assert_failure(steady.post("/v2/repository/index", content=body), 400)


# S-17: hostile bodies, all refused, none of them for much memory


def hostile() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yield name, body and headers of requests that must be refused."""
    yield from _shapes()
    yield from _datatypes()
    yield from _values()
    yield from _outputs()
    yield from _envelopes()
    yield from _lengths()


def _one(name: str, text: str | bytes, **headers: str) -> tuple[str, bytes, dict[str, str]]:
    return name, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, headers


def _tensor(**changes: Any) -> str:
    described = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | changes
    return json.dumps({"inputs": [{key: value for key, value in described.items() if value is not ...}]})


def _shapes() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    sizes = [0, -1, -2, -(2**31), -(2**63), 3, 4, 7, 2**31, 2**32, 2**60 + 2, 2**62, 2**63, 2**64, 2**64 + 2, 10**30]
    for size in sizes:
        yield _one(f"{size} rows", _tensor(shape=[size, 2]))
        yield _one(f"{size} columns", _tensor(shape=[1, size]))
        yield _one(f"{size} rows of a column", _column(shape=[size]))
    for rank in (0, 1, 3, 4, 8, 9, 16, 64, 1000, 100_000):
        yield _one(f"rank {rank}", _tensor(shape=[1] * rank))
    for shape in ([2**4, 2**60 + 2], [2**2, 2**60 + 2], [2**33, 2**31], [2**63, 2], [-1, -2], [-1, 2], [0, 0]):
        yield _one(f"shape {shape}", _tensor(shape=shape))
    others: list[Any] = [1.0, 1.5, "1", None, True, [1], {}, 1e300, math.nan, math.inf]
    for other in others:
        yield _one(f"size {other!r}", _tensor(shape=[other, 2]))
    others = [None, 2, "1,2", {}, {"0": 1}, True]
    for other in others:
        yield _one(f"shape {other!r}", _tensor(shape=other))


def _column(**changes: Any) -> str:
    described = {"shape": [2], "datatype": "FP32", "data": [1, 2]} | changes
    return json.dumps({"inputs": [{"name": name, **described} for name in ("left", "right")]})


def _datatypes() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    names: list[Any] = [
        "",
        "fp32",
        "FP8",
        "FP16",
        "BF16",
        "FP128",
        "INT4",
        "UINT128",
        "STRING",
        "BYTES",
        "float32",
        "\0",
    ]
    for name in [*names, "FP32 ", "X" * 10_000, 32, None, ["FP32"], True, {}]:
        yield _one(f"datatype {str(name)[:10]!r}", _tensor(datatype=name))


def _values() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    wrong: list[Any] = ["1", None, True, {}, [], [1], 1e39, -1e39, 10**40, 10**400, math.nan, math.inf, "\ud800", "NaN"]
    for value in wrong:
        for place in (0, 1):
            data = [value, 1] if place == 0 else [1, value]
            yield _one(f"value {str(value)[:60]!r} at {place}", _tensor(data=data))
        yield _one(f"nested value {str(value)[:60]!r}", _tensor(data=[[1, value]]))
    for datatype, value in (("UINT8", 256), ("UINT8", -1), ("INT8", 128), ("INT64", 2**63), ("UINT64", 2**64)):
        yield _one(f"{value} as {datatype}", _tensor(datatype=datatype, data=[1, value]))
    for datatype in ("UINT8", "INT32", "INT64", "BOOL"):
        yield _one(f"a fraction as {datatype}", _tensor(datatype=datatype, data=[1, 0.5]))
    others: list[Any] = [
        [],
        [1],
        [1, 2, 3],
        [[1], [2]],
        [[1, 2], [3, 4]],
        [[1, 2], 3],
        [[[1, 2]]],
        None,
        1,
        "12",
        {},
        True,
    ]
    for other in others:
        yield _one(f"data {other!r}", _tensor(data=other))
    yield _one("a million values for one row", _tensor(data=[0] * 1_000_000))
    yield _one("a million rows promised", _tensor(shape=[1_000_000, 2]))
    yield _one("no data", _tensor(data=...))
    for depth in (3, 10, 100, 1000, 1100, 5000, 250_000):
        yield _one(f"depth {depth}", f'{{"inputs": [{{"name": "x", "data": {"[" * depth}{"]" * depth}}}]}}')
        yield _one(f"open depth {depth}", '{"inputs": ' + "[" * depth)
        yield _one(f"depth {depth} of objects", '{"inputs": ' + '{"a":' * depth + "1" + "}" * depth + "}")


def _outputs() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    bad: list[Any] = [[{"name": "x"}], [{}], [1], [None], "label", {"name": "label"}, 1, True, [{"name": 1}], [[]]]
    bad += [[{"name": "label"}] * 2, [{"name": "label"}] * 10_000, [{"name": str(n)} for n in range(10_000)]]
    tops: list[Any] = [-1, 1.5, "1", True, 2**64, None, []]
    bad += [[{"name": "probabilities", "parameters": {"classification": top}}] for top in tops]
    flags: list[Any] = [0, 1, "true", 0.5, None, []]
    bad += [[{"name": "label", "parameters": {"binary_data": flag}}] for flag in flags]
    for place, outputs in enumerate(bad):
        yield _one(f"outputs {place}", json.dumps({**json.loads(_tensor()), "outputs": outputs}))


def _envelopes() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    texts: list[str | bytes] = ["", " ", "null", "1", '"x"', "[]", "{}", "{", "}", "nan", "\0", b"\xff", b"\xfe\xff\0{"]
    texts += ['{"inputs": []}', '{"inputs": [{}]}', '{"inputs": [[]]}', '{"inputs": null}', '{"inputs": {"0": {}}}']
    texts += [_tensor().encode("utf-16"), b"\xef\xbb\xbf" + _tensor().encode(), _tensor() + _tensor(), _tensor()[:-1]]
    texts += [_tensor()[:-1] + ', "inputs": []}', _tensor().replace('"name"', '"name": "x", "name"')]
    names: list[Any] = [1, [], "\ud800", "x" * 1025, "\udfff" * 5]
    texts += [json.dumps({**json.loads(_tensor()), "id": name}) for name in names]
    parameters: list[Any] = [[], 1, "x", {"a": None}, {"a": []}, {"a": {}}]
    parameters += [{"timeout": -1}, {"timeout": 0.5}, {"timeout": 2**64}]
    texts += [json.dumps({**json.loads(_tensor()), "parameters": each}) for each in parameters]
    texts.append(json.dumps({"inputs": json.loads(_tensor())["inputs"] * 2}))
    texts.append(json.dumps({"inputs": json.loads(_tensor())["inputs"] * 50_000}))
    texts.append('{"inputs": [' + ",".join("{}" for _ in range(500_000)) + "]}")
    for place, text in enumerate(texts):
        yield _one(f"envelope {place}", text)


def _lengths() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    described, part = announced([[1, 2]])
    text = whole([described])
    for length in (1, 5, len(text) - 1, len(text) + 1, len(text) + 8, len(text) + 9, 10**6, 2**31, 2**63, 2**64 - 1):
        yield _one(f"{length} bytes of JSON", text + part, **{JSON_BYTES: str(length)})
    sizes: list[Any] = [-1, 0, 1, 7, 9, 2**31, 2**32, 2**63, 2**64, 1e300, 8.0, "8", True, [8], {}]
    for size in sizes:
        lies = json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": size}}]}).encode()
        yield _one(f"binary size {size!r}", lies + part, **{JSON_BYTES: str(len(lies))})
    for count in (0, 1, 7, 9, 15):
        yield _one(f"{count} bytes follow", text + bytes(count), **{JSON_BYTES: str(len(text))})
    yield _one("binary data without the header", text + part)
    yield _one("binary data announced, none sent", text)
    for count in (0, 1, 4, 7, 9):
        yield _one(f"raw, {count} bytes", bytes(count), **{JSON_BYTES: "0"})
    for value in (math.nan, math.inf, -math.inf):
        yield _one(f"binary {value}", text + np.array([value, 1], "<f4").tobytes(), **{JSON_BYTES: str(len(text))})
    for datatype in ("BYTES", "FP8", "INT4"):
        other = json.dumps({"inputs": [{**described, "datatype": datatype}]}).encode()
        yield _one(f"binary {datatype}", other + part, **{JSON_BYTES: str(len(other))})


@pytest.mark.slow
def test_hostile_bodies_are_refused_for_little_memory(steady: TestClient) -> None:
    bodies = list(hostile())  # made before anything is measured: what that takes is not the service's
    gc.collect()
    gc.freeze()  # what other tests left is not looked at again with every collection
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answered: dict[str, int] = {}
    for name, body, headers in bodies:
        gc.collect()  # the client keeps what it sent in cycles; its garbage is not the service's
        assert name not in answered
        answer = steady.post(INFER, content=body, headers=headers)
        answered[name] = answer.status_code
        assert answer.status_code in REFUSALS, (name, answer.text[:300])
        assert_failure(answer, answer.status_code)

    gc.unfreeze()
    assert len(answered) >= 250
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < GROWTH_BYTES
    assert steady.post(INFER, content=GOOD).status_code == 200
