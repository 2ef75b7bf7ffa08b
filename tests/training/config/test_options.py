"""Options and dialect of a table on the command line: one by one, or as one document."""

from __future__ import annotations

import re
from datetime import date

import pytest

from modelstore import CardStatements, DataOptions, DecisionPolicy, Dialect, Split
from training.config.options import DialectTexts, OptionTexts, read_feedback, read_record
from training.errors import RecipeError


def test_nothing_said_is_the_defaults() -> None:
    assert OptionTexts().read() == DataOptions()


def test_single_options_and_one_document_say_the_same() -> None:
    wanted = DataOptions(
        types={"zip": "categorical", "a=b": "numeric"},
        task="classification",
        split=Split(time="day"),
        rare_classes="merge",
        missing_values=("", "n.a.", "a,b"),
    )

    single = OptionTexts(
        types=("zip=categorical", "a=b=numeric"),
        task="classification",
        split="time=day",
        rare_classes="merge",
        missing_values=',n.a.,"a,b"',
    )

    assert single.read() == OptionTexts(document=wanted.model_dump_json()).read() == wanted


def test_single_option_replaces_that_of_the_document() -> None:
    assert OptionTexts(document='{"task": "regression", "types": {"x": "numeric"}}', task="classification").read() == (
        DataOptions(task="classification", types={"x": "numeric"})
    )


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (OptionTexts(document="["), r"--options: expected a JSON object"),
        (OptionTexts(document="[]"), r"--options: expected a JSON object"),
        (OptionTexts(document='{"typ": {}}'), r"options: typ: expected types, perhaps"),
        (OptionTexts(types=("zip",)), r"--type: expected COLUMN=TYPE, as in zip=categorical, got 'zip'"),
        (OptionTexts(types=("zip=number",)), r"options: types.zip: expected 'numeric', 'categorical'"),
        (OptionTexts(split="day"), r"--split: expected time=COLUMN or group=COLUMN, got 'day'"),
        (OptionTexts(split="days=day"), r"options: split.days: expected one of the fields time, group"),
        (OptionTexts(task="guess"), r"options: task: expected 'classification' or 'regression', got 'guess'"),
        (OptionTexts(task="regression", rare_classes="merge"), r"no rare_classes beside task = regression"),
    ],
)
def test_wrong_options_are_named(texts: OptionTexts, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        texts.read()


def test_dialect_is_said_one_by_one_or_as_one_document_and_the_rest_is_detected() -> None:
    wanted = Dialect(delimiter="\t", decimal=",", encoding="cp1252", header=False, skip_rows=2, comment="")

    single = DialectTexts(delimiter="tab", decimal=",", encoding="cp1252", header=False, skip_rows=2, comment="").read()

    assert single == DialectTexts(wanted.model_dump_json(exclude_none=True)).read() == wanted
    assert DialectTexts().read() == Dialect()
    assert DialectTexts('{"quote": "\'", "skip_footer": 3}', skip_footer=0).read() == Dialect(quote="'", skip_footer=0)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (DialectTexts("[]"), r"--dialect: expected a JSON object"),
        (DialectTexts('{"delimeter": ";"}'), r"dialect: delimeter: expected delimiter"),
        (DialectTexts(delimiter="x"), r"dialect: delimiter: expected ',', ';', '\\t' or '\|', got 'x'"),
        (DialectTexts(skip_rows=-1), r"dialect: skip_rows: expected .* got -1"),
        (DialectTexts(comment="a"), r"dialect: expected a comment character that is no letter"),
        (DialectTexts(header=False, skip_below=1), r"dialect: expected skip_below with a header only"),
    ],
)
def test_wrong_dialect_is_named(texts: DialectTexts, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        texts.read()


def test_a_decision_is_read_from_json() -> None:
    assert read_record("decision", None, DecisionPolicy) is None
    assert read_record("decision", '{"threshold": 0.3}', DecisionPolicy) == DecisionPolicy(threshold=0.3)
    assert read_record("decision", '{"costs": [[0, 1], [5, 0]]}', DecisionPolicy) == DecisionPolicy(
        costs=((0, 1), (5, 0))
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "--decision: expected a JSON object"),
        ("{}", "decision: expected exactly one of costs, threshold and maximise"),
        ('{"threshold": 1}', "decision: threshold: expected less than 1"),
        ('{"maximise": "recall"}', "decision: maximise: expected 'f1' or 'balanced_accuracy'"),
        (
            '{"costs": [[0, 1], [1]]}',
            "decision: costs: expected a square matrix, a row and a column for each of 2 to 100",
        ),
        ('{"costs": [[0, 1], [1, null]]}', "decision: costs.1.1: expected a number"),
        ('{"cost": []}', "decision: cost: expected costs, perhaps"),
    ],
)
def test_a_wrong_decision_is_named(document: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        read_record("decision", document, DecisionPolicy)


def test_a_card_is_read_from_json_and_a_wrong_one_is_named() -> None:
    document = '{"owner": "team", "sensitive_columns": ["age"], "review_date": "2027-01-02"}'
    wanted = CardStatements(owner="team", sensitive_columns=("age",), review_date=date(2027, 1, 2))

    assert read_record("card", document, CardStatements) == wanted
    with pytest.raises(RecipeError, match=r"card.*ownr"):
        read_record("card", '{"ownr": "team"}', CardStatements)


def test_rows_of_feedback_are_read_from_json_and_a_wrong_value_is_not_repeated() -> None:
    document = '{"rows": [{"version": 1, "time_s": 2, "values": {"a": 1, "b": true}, "label": "x"}], "left_out": 3}'

    feedback = read_feedback(document)

    assert feedback is not None
    assert (feedback.rows[0].values, feedback.left_out) == ({"a": 1.0, "b": True}, 3)
    assert read_feedback(None) is None
    for wrong in ("[]", "{", document.replace('"x"', '["secret"]')):
        with pytest.raises(RecipeError, match="--feedback") as refused:
            read_feedback(wrong)
        assert "secret" not in str(refused.value)
