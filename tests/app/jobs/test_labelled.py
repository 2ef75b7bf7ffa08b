"""Rows of feedback are those of the model and target, with labels as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import InvalidInput
from app.jobs import labelled
from app.jobs.database import Database
from app.jobs.feedback import FeedbackStore
from app.jobs.kept import KeptStore
from app.jobs.kept_rows import KeptInput
from app.jobs.labelled import LabelledRows
from app.jobs.records import LabelledRow
from modelstore import FeedbackRow, ModelRepository
from tests.app.typed import publish_typed

FAR_S = 1 << 33


@pytest.fixture
def rows(database: Database, tmp_path: Path) -> LabelledRows:
    """Return rows of two versions of `typed`, a classification and a quantity, and of one that is gone."""
    repository = ModelRepository(tmp_path / "models")
    publish_typed(repository)
    publish_typed(repository, "regression")
    kept = [
        KeptInput(bytes([version]) * 12, "typed", version, 10 + version, FAR_S, json.dumps({"age": version + 0.5}))
        for version in (1, 2, 3)
    ]
    store = KeptStore(database)
    store.add([], kept)
    given = [LabelledRow(one.mac, "typed", one.version, one.time_s, 0.0, None, 1.0) for one in kept]
    FeedbackStore(database).add(given, oldest_s=0)
    return LabelledRows(store, repository)


def test_labels_are_the_texts_of_classes_or_quantities(rows: LabelledRows) -> None:
    feedback = rows.find("typed", "gone")

    assert feedback.rows == (
        FeedbackRow(version=2, time_s=12, values={"age": 2.5}, label="1.0"),
        FeedbackRow(version=1, time_s=11, values={"age": 1.5}, label="yes"),
    )
    assert feedback.left_out == 1


def test_older_rows_than_the_newest_are_counted_as_left_out(
    rows: LabelledRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "MOST_ROWS", 2)

    feedback = rows.find("typed", "gone")

    assert ([row.version for row in feedback.rows], feedback.left_out) == ([2], 2)


@pytest.mark.parametrize(
    ("model", "target", "columns", "words"),
    [
        (
            "other",
            "gone",
            ["age"],
            "finds no row of other whose inputs were kept and whose label came; inputs are kept",
        ),
        ("typed", "left", ["age"], "finds no row: 3 rows predict another target, or their version is gone"),
        ("typed", "gone", ["age", "plan"], "finds 2 rows, but they lack 'plan'; learn from other `features`, or keep"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(
    model: str, target: str, columns: list[str], words: str, rows: LabelledRows
) -> None:
    rows.require("typed", "gone", ["age"])
    with pytest.raises(InvalidInput, match="include_feedback") as refused:
        rows.require(model, target, columns)

    assert words in str(refused.value)
