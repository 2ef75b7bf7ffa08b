"""The NDJSON reader and writer alone: a row a line, in whatever pieces the body came."""

from __future__ import annotations

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import MalformedBody, Problem
from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.lines import LineReader
from app.inference.codecs.ndjson import NdjsonWriter, ndjson_reader
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import CategoricalFeature
from tests.app.tables import outcome, read, schema_of
from tests.properties import examples

CONTRACT = schema_of(("left", "right"))


def reader() -> LineReader:
    return ndjson_reader(CONTRACT)


GOOD = {
    "arrays": b"[1,2]\n[3,4]\n",
    "objects": b'{"left":1,"right":2}\n{"right":4,"left":3}\n',
    "mixed": b'[1, 2]\n{"right": 4, "left": 3}\n',
    "no final line feed": b"[1,2]\n[3,4]",
    "carriage returns": b"[1,2]\r\n[3,4]\r\n",
    "carriage returns alone": b"[1,2]\r[3,4]\r",
    "carriage returns alone, none at the end": b"[1,2]\r[3,4]",
    "blank lines": b"\n\t\n[1,2]\r\n\r\n\n[3,4]\n \n",
    "spaces": b" [ 1 ,\t2 ] \n[3,4]  \n",
    "escaped name": b'[1,2]\n{"\\u006ceft":3,"right":4}\n',
    "spaces behind the last line": b"[1,2]\n[3,4]\n \t",
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_same_rows_however_written_and_split(data: bytes) -> None:
    for step in range(1, len(data) + 1):
        assert read(reader(), data, step) == ([[1, 2], [3, 4]], {}), step


BAD_LINES = {
    "null": b"null",
    "a number": b"1",
    "a string": b'"[1,2]"',
    "too few": b"[1]",
    "too many": b"[1,2,3]",
    "empty array": b"[]",
    "two rows": b"[1,2],[3,4]",
    "two documents": b"[1,2] [3,4]",
    "half a row": b"[1",
    "the other half": b"2]",
    "text": b'[1,"2"]',
    "boolean": b"[1,true]",
    "null value": b"[1,null]",
    "NaN": b"[1,NaN]",
    "beyond float32": b"[1,1e39]",
    "integer beyond float64": b"[1," + b"9" * 400 + b"]",
    "missing name": b'{"left":1}',
    "unknown name": b'{"left":1,"right":2,"more":3}',
    "name twice": b'{"left":1,"right":2,"left":3}',
    "byte order mark": b"\xef\xbb\xbf[1,2]",
    "not UTF-8": b'{"left":1,"right\xff":2}',
    "leading zero": b"[01,2]",
    "no integer part": b"[.5,2]",
    "nested deeply": b"[" * 50_000,
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_line_is_named_and_hurts_no_other(line: bytes) -> None:
    rows, wrong = read(reader(), b"[1,2]\n" + line + b"\n[3,4]\n")

    assert rows == [[1, 2], [0, 0], [3, 4]]
    assert list(wrong) == [2]


@pytest.mark.parametrize(
    ("line", "feature"), [(b'[1,"2"]', "right"), (b'{"right":2,"left":null}', "left"), (b'{"left":1}', "right")]
)
def test_bad_value_is_named_with_its_feature(line: bytes, feature: str) -> None:
    (block,) = reader().feed(line + b"\n")

    assert (block.bad[0].row, block.bad[0].feature) == (1, feature)


def test_a_line_that_is_no_json_is_named_by_its_own_number_and_column_alone() -> None:
    assert read(reader(), b"[1,2]\n[1,\n")[1] == {2: "is not JSON: expecting value at column 4"}


@pytest.mark.parametrize(
    "data",
    [b"[1\n2]\n[1,2],[3,4]\n", b'{"left":1\n"right":2}\n[1,2],[3,4]\n', b"[1,2],[3,4]\n[5\n6]\n"],
    ids=["arrays", "objects", "other order"],
)
def test_row_over_two_lines_is_not_made_up_for_by_two_rows_on_one(data: bytes) -> None:
    rows, wrong = read(reader(), data)

    assert rows == [[0, 0]] * 3
    assert list(wrong) == [1, 2, 3]


@pytest.mark.parametrize(
    "data",
    [
        b'[1,"a]\n[b"],[2,"c"]\n',
        b'[2,"c"],[1,"a]\n[b"]\n',
        b'{"left":1,"kind":"a}\n{b"},{"left":2,"kind":"c"}\n',
    ],
    ids=["arrays", "other order", "objects"],
)
def test_text_over_two_lines_is_not_made_up_for_by_two_rows_on_one(data: bytes) -> None:
    kind = CategoricalFeature(name="kind", categories={"a": 60, "c": 40}, other=4, missing=0)
    schema = ModelSchema.of_features("means", 3, [CONTRACT.types[0], kind], CONTRACT.classes)

    rows, wrong = read(ndjson_reader(schema), data)

    assert rows == [[0, 0]] * 2
    assert list(wrong) == [1, 2]


def test_f10_blank_lines_are_passed_over_counted_and_change_no_line_number() -> None:
    data = b'\n[1,2]\n\n{"left":1}\n \t\n[3,4]\n\n'
    for step in range(1, len(data) + 1):
        lines = reader()
        assert read(lines, data, step) == ([[1, 2], [0, 0], [3, 4]], {4: "is missing"})
        assert lines.blank_lines == 4


@pytest.mark.parametrize("data", [b"[1,2][3,4]", b'{"left":1,"right":2} {"left":1,"right":2}', b"[1,2]\n[1,2][3,4]\n"])
def test_line_ends_that_curl_took_are_hinted_at(data: bytes) -> None:
    _, wrong = read(reader(), data)

    assert (
        "`curl -d` takes the line ends out of a file; send it with --data-binary" in wrong[data.count(b"\n", 0, -1) + 1]
    )


def test_empty_body_has_no_rows() -> None:
    assert read(reader(), b"") == ([], {})


values = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(), st.none(), st.booleans(), st.text("ab]")
)
documents = st.one_of(
    st.lists(values, max_size=3),
    st.fixed_dictionaries({"left": values, "right": values}),
    st.dictionaries(st.sampled_from(["left", "right", "]", "more"]), values, max_size=3),
)
lines = st.one_of(
    documents.map(json.dumps), st.text(alphabet='[]{}12,:" \r', max_size=8), st.sampled_from(["[1,2]"] * 3)
)


@examples(70)
@hypothesis.given(st.lists(lines, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.integers(1, 40))
def test_any_body_gives_the_same_whole_and_split(listed: list[str], feed: str, ended: bool, step: int) -> None:
    data = (feed.join(listed) + (feed if ended else "")).encode()

    assert outcome(reader(), data) == outcome(reader(), data, step)


def test_answer_is_a_prediction_a_line() -> None:
    batch = BatchClassification(CONTRACT, np.zeros((2, 2), np.float32), np.array([[0.25, 0.75], [1, 0]], np.float32))
    writer = NdjsonWriter(CONTRACT)

    assert writer.head() + writer.rows(Predictions(batch, 0, 2)) + writer.tail() == (
        b'{"label":"high","probability":0.75,"probabilities":{"low":0.25,"high":0.75}}\n'
        b'{"label":"low","probability":1.0,"probabilities":{"low":1.0,"high":0.0}}\n'
    )
    assert json.loads(writer.numbered_row(7, Predictions(batch, 1, 2), None)) == {
        "line": 7,
        "label": "low",
        "probability": 1,
        "probabilities": {"low": 1, "high": 0},
    }


def test_problem_and_last_words_are_lines_that_are_no_predictions() -> None:
    writer = NdjsonWriter(CONTRACT)

    wrong = writer.numbered_row(7, None, Problem(7, "left", "is wrong"))
    words = writer.failure(MalformedBody("first\nsecond"))

    assert json.loads(wrong) == {"line": 7, "error": {"feature": "left", "problem": "is wrong"}}
    assert json.loads(words) == {"error": {"detail": "first\nsecond"}}
    assert wrong.count(b"\n") == words.count(b"\n") == 1


def ids_of(line: bytes, id_column: str, schema: ModelSchema = CONTRACT) -> tuple[list[str | None], dict[int, Problem]]:
    (block,) = ndjson_reader(schema, id_column=id_column).feed(line + b"\n")
    assert block.ids is not None
    return list(block.ids), block.bad


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"left":1,"right":2,"order":"A7"}', "A7"),
        (b'{"left":1," right":2," order ":"A7"}', "A7"),
        (b'{"left":1,"right":2,"order":7}', "7"),
        (b'{"left":1,"right":2,"order":null}', None),
        (b'{"left":1,"right":2,"order":""}', None),
    ],
    ids=["as it is", "with blanks", "a number", "null", "empty"],
)
def test_id_has_the_name_that_was_asked_for_but_for_blanks(line: bytes, found: str | None) -> None:
    assert ids_of(line, "order") == ([found], {})


def test_id_has_the_name_that_was_asked_for_however_its_accents_are_encoded() -> None:
    assert ids_of('{"left":1,"right":2,"nume\u0301ro":"A7"}'.encode(), "num\u00e9ro") == (["A7"], {})
    assert ids_of(b'{"left":1,"right":2,"nume\\u0301ro":"A7"}', "num\u00e9ro") == (["A7"], {})


def test_id_may_be_a_feature_with_blanks_around_its_name() -> None:
    assert ids_of(b'{"left ":1,"right":2}', "left") == (["1"], {})


@pytest.mark.parametrize(
    ("line", "id_column", "problem"),
    [
        (b'{"left":1,"right":2,"order":"A7"}', "ordr", "is missing, which names the ids"),
        (b'{"left":1,"right":2}', "order", "is missing, which names the ids"),
        (b'{"left":1,"right":2,"order":"A7"," order":"A8"}', "order", "is named twice, in columns 3 and 4"),
    ],
    ids=["misspelt", "missing", "twice"],
)
def test_object_whose_id_would_be_lost_is_a_bad_row(line: bytes, id_column: str, problem: str) -> None:
    ignored = ModelSchema.of_features("means", 3, CONTRACT.types, CONTRACT.classes, ignored=["order"])

    _, bad = ids_of(line, id_column, ignored)

    assert (bad[0].feature, bad[0].problem[: len(problem)]) == (id_column, problem)
