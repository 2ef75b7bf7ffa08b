"""Errors carry what the service said."""

from __future__ import annotations

from tabserve import MissingExtra, Problem, ServiceError, TrainingFailed


def test_problem_details_become_attributes() -> None:
    document = {
        "type": "urn:tabserve:problem:invalid-input",
        "detail": "line 3, column 'age': must be a number",
        "errors": [{"row": 3, "feature": "age", "problem": "must be a number"}],
    }
    error = ServiceError.of(422, document, {"x-request-id": "9f", "retry-after": "7"}, before=100)

    assert (error.status, error.kind, error.request_id, error.retry_after_s) == (422, "invalid-input", "9f", 7.0)
    assert error.problems == (Problem(103, "age", "must be a number"),)
    assert "counted from the 100 before" in str(error)


def test_an_answer_of_something_else_is_shown_as_it_is() -> None:
    error = ServiceError.of(502, "<html>Bad Gateway</html>", {})

    assert str(error) == "<html>Bad Gateway</html> (HTTP 502)"
    assert (error.kind, error.problems) == ("", ())


def test_a_failed_training_names_its_reason() -> None:
    error = TrainingFailed({"model": "churn", "status": "failed", "reason": "bad_data", "detail": "one class only"})

    assert (str(error), error.reason) == ("the training of churn ended as bad_data: one class only", "bad_data")


def test_a_missing_extra_says_how_to_install_it() -> None:
    assert str(MissingExtra("Arrow", "tabserve[arrow]")) == "Arrow needs more packages: pip install 'tabserve[arrow]'"
