"""Options of a prediction in query and headers."""

from __future__ import annotations

from tabserve.options import Options


def test_only_options_that_were_given_are_sent() -> None:
    assert Options().query() == {}
    given = Options(version=3, strict=False, threshold=0.4, explain={"top": 3}, confidence=0.9, ignore_extra=True)
    assert given.query() == {
        "strict": "false",
        "threshold": "0.4",
        "explain": "true",
        "explain_top": "3",
        "confidence": "0.9",
        "ignore_extra": "true",
    }
    assert Options(abstain=False).query() == {"abstain": "false"}
    policy = {"below": 0.8, "out_of_range": True}
    assert Options(abstain=policy).query() == {"abstain_below": "0.8", "abstain_out_of_range": "true"}


def test_receipts_are_asked_for_in_a_header() -> None:
    assert Options().headers() == {}
    assert Options(receipts=True).headers() == {"x-prediction-receipt": "1"}
