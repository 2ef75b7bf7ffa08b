"""Options of a request, in its body or as parameters: read alike and refused alike."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidInput
from app.inference.decision import Override
from app.inference.options import Explain, PredictionOptions, read_explain, read_flat, read_options


@pytest.mark.parametrize(
    ("value", "flat", "read"),
    [
        (True, {"explain": True}, Explain()),
        (False, {"explain": False}, None),
        (None, {}, None),
        ({}, None, Explain()),
        (
            {"class": "yes", "top": 5, "confidence_below": 1},
            {"explain": True, "explain_class": "yes", "explain_top": 5, "explain_confidence_below": 1.0},
            Explain("yes", 5, 1.0),
        ),
    ],
)
def test_objects_and_flat_parameters_mean_the_same(
    value: Any, flat: dict[str, Any] | None, read: Explain | None
) -> None:
    assert read_explain(value) == read
    assert read_options({"explain": value}) == (None if read is None else PredictionOptions(explain=read))
    if flat is not None:
        assert read_flat({"other": 1, **flat}).explain == read


@pytest.mark.parametrize(
    ("value", "named", "problem"),
    [
        ("yes", "explain", "must be true, or an object"),
        ({"tops": 3}, "explain", "perhaps top is meant"),
        ({"z": 3}, "explain", "known are class, top, confidence_below"),
        ({"class": 3}, "explain.class", "must be the name of a class"),
        ({"top": 0}, "explain.top", "whole number from 1"),
        ({"top": True}, "explain.top", "whole number from 1"),
        ({"confidence_below": 0}, "explain.confidence_below", "above 0, at most 1"),
    ],
)
def test_a_wrong_field_is_named(value: Any, named: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        read_options({"explain": value})

    assert refused.value.problems[0].feature == named


def test_a_flat_parameter_is_named_as_it_is_written() -> None:
    with pytest.raises(InvalidInput, match=r"^parameters\.explain_top: must be a whole number"):
        read_flat({"explain": True, "explain_top": 0}, "parameters.")
    with pytest.raises(InvalidInput, match=r"^explain: must be true beside explain_top"):
        read_flat({"explain_top": 3})
    with pytest.raises(InvalidInput, match=r"^explain: must be true or false"):
        read_flat({"explain": "yes"})


def test_query_and_body_add_up_but_say_nothing_twice() -> None:
    query, body = PredictionOptions(True, Override(0.3)), PredictionOptions(explain=Explain())

    assert query.merge(None) is query
    assert query.merge(body) == PredictionOptions(True, Override(0.3), Explain())
    with pytest.raises(InvalidInput, match="explain: is in the query and in the body"):
        body.merge(body)


def test_an_option_is_spelled_as_the_request_has_it() -> None:
    query = read_flat({"abstain_below": 0.5})
    both = query.merge(read_options({"explain": {"top": 1}}))
    protocol = read_flat({"explain": True, "explain_top": 1}, "parameters.")

    assert (both.spell("abstain", "below"), both.spell("explain", "top")) == ("abstain_below", "explain.top")
    assert (protocol.spell("explain", "top"), protocol.spell("explain")) == (
        "parameters.explain_top",
        "parameters.explain",
    )
