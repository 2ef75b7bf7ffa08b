from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from modelstore import Notice, Overrides, from_line
from tests.training.samples import clouds, collect, ignore, recipe, splits
from training.artifact.attachments import make_attachments
from training.pipeline import train_candidate

pytestmark = pytest.mark.usefixtures("undrawn")

OF_COLUMNS = {"importance.png", "partial_dependence.png", "partial_dependence.json"}


@pytest.mark.parametrize(("features", "boundary"), [(2, True), (3, False)])
def test_attachments_are_history_and_pictures(features: int, *, boundary: bool) -> None:
    data = splits(clouds(100, features=features), clouds(40, features=features, seed=1))
    candidate = train_candidate(recipe(epochs=5), data, ignore)

    events, files = collect(lambda report: make_attachments(candidate, recipe(), data, report))

    assert events == []
    assert ("boundary.png" in files) is boundary
    assert set(files) - {"boundary.png"} == {
        "history.jsonl",
        "test_predictions.csv",
        "loss.png",
        "confusion.png",
        "reliability.json",
        "reliability.png",
        "abstaining.png",
        "thresholds.png",
        "training_rows.bin",
        *OF_COLUMNS,
    }
    assert [from_line(line) for line in files["history.jsonl"].splitlines()] == list(candidate.history)


def test_without_pictures_the_other_attachments_are_the_same() -> None:
    data = splits(clouds(100), clouds(40, seed=1))
    candidate = train_candidate(recipe(epochs=5), data, ignore)

    drawn, plain = (make_attachments(candidate, recipe(), data, ignore, pictures=wanted) for wanted in (True, False))

    assert plain == {name: content for name, content in drawn.items() if not name.endswith(".png")}
    assert len(plain) < len(drawn)


@pytest.mark.slow
def test_a_learner_without_epochs_has_no_picture_of_losses() -> None:
    data = splits(clouds(100, classes=3), clouds(40, classes=3, seed=1))
    linear = recipe().with_overrides(Overrides(learner="linear"))
    candidate = train_candidate(linear, data, ignore)

    events, files = collect(lambda report: make_attachments(candidate, linear, data, report))

    assert events == []
    pictures = {name for name in files if name.endswith(".png")}
    assert pictures - OF_COLUMNS == {"confusion.png", "reliability.png", "abstaining.png", "boundary.png"}
    assert files["history.jsonl"] == b""


def test_test_predictions_name_line_truth_and_the_predicted_classs_probability() -> None:
    data = splits(clouds(100), clouds(40, seed=1, spread=3.0))
    candidate = train_candidate(recipe(epochs=5), data, ignore)
    probabilities = candidate.predict(data.test.x)

    files = make_attachments(candidate, recipe(), data, ignore)
    header, *lines = files["test_predictions.csv"].decode().splitlines()

    assert header == "line,truth,predicted,probability"
    for position, line in enumerate(lines):
        number, truth, predicted, probability = line.split(",")
        assert (int(number), truth) == (position + 2, f"cloud {position % 2}")
        assert predicted == f"cloud {probabilities[position].argmax()}"
        assert float(probability) == pytest.approx(probabilities[position].max(), rel=1e-5)
    assert len(lines) == 40


def test_a_dependence_that_cannot_be_computed_is_left_out_with_a_warning() -> None:
    data = splits(clouds(100), clouds(40, seed=1))
    candidate = train_candidate(recipe(epochs=5), data, ignore)

    def predict(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Fail for more rows than are tested, as for lack of memory."""
        if len(x) > len(data.test):
            raise MemoryError
        return candidate.predict(x)

    failing = replace(candidate, predict=predict)
    events, files = collect(lambda report: make_attachments(failing, recipe(), data, report, pictures=False))

    assert "partial_dependence.json" not in files
    assert files.keys() >= {"test_predictions.csv", "history.jsonl"}
    (warning,) = (event.message for event in events if isinstance(event, Notice))
    assert "partial_dependence.json could not be made and is left out" in warning
