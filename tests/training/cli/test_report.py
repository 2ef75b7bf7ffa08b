from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from modelstore import (
    ColumnImportance,
    Conformal,
    Decision,
    Importance,
    JointImportance,
    ModelRepository,
    ValuePrediction,
    compare_versions,
    write_values,
)
from tests.modelstore.samples import MODEL, sample_regression
from tests.training.cli.consoles import row, text
from tests.training.samples import classified
from training.cli.lists import print_versions
from training.cli.report import (
    print_comparison,
    print_coverage,
    print_cross_validation,
    print_evaluation,
    print_two_versions,
    split_title,
)
from training.evaluation.metrics import evaluate
from training.evaluation.scores import MethodScore, Spread


def test_an_evaluation_shows_counts_and_figures(console: Console, store: ModelRepository) -> None:
    test = classified(store.find("clouds", 2).manifest().metrics["test"])

    print_evaluation(console, test, "clouds version 2")

    assert f"accuracy {test.accuracy:.4f}, log loss {test.log_loss:.4f}" in text(console)
    assert row(console, "cloud 0") == [str(count) for count in test.confusion[0]]


def test_labels_of_a_decision_are_counted_beside_the_accuracy(console: Console) -> None:
    probabilities, y = np.array([[0.6, 0.4]] * 8 + [[0.9, 0.1]] * 2), np.array([0] * 7 + [1] * 3)

    print_evaluation(console, evaluate(probabilities, y, ("no", "yes"), "test", Decision(threshold=0.3)), "decided")

    assert "accuracy 0.7000" in text(console)
    assert "labels as decided: 0.1000 of them are right" in text(console)


def test_an_evaluation_says_what_may_be_chance(console: Console, store: ModelRepository) -> None:
    test = classified(store.find("clouds", 2).manifest().metrics["test"])
    inside = test.model_copy(update={"calibration_error": 0.02, "calibration_band": (0.0, 0.03)})

    print_evaluation(console, inside, "inside")
    print_evaluation(console, inside.model_copy(update={"calibration_error": 0.04}), "outside")

    said = text(console)
    assert "as decided" not in said
    assert test.intervals
    assert f"95 % intervals: accuracy {test.intervals['accuracy'][0]:.4f} to" in said
    assert said.count("cannot be told from a calibrated one, whose error is up to 0.0300 by chance") == 1
    assert said.count("the probabilities are off, as the error of a calibrated one is at most 0.0300") == 1


def test_coverage_of_test_rows_is_said_with_what_it_is_worth(console: Console) -> None:
    conformal = Conformal(score="lac", rows=1, source="out_of_fold", guarantee="approximate", scores=(0.5,))
    measured = conformal.model_copy(update={"test_coverage": {"0.9": (81, 263)}})

    print_coverage(console, None)
    print_coverage(console, conformal)
    print_coverage(console, measured)

    assert text(console).strip() == (
        "prediction sets hold the truth of test rows: 0.308 for 0.9 (95 % interval 0.255 to 0.366); approximate, "
        "from 1 out-of-fold rows"
    )


def test_the_leader_board_puts_the_model_beside_knn_and_says_what_it_means(store: ModelRepository) -> None:
    manifest = store.find("clouds", 2).manifest()
    console = Console(file=io.StringIO(), width=80)

    print_comparison(console, manifest)

    assert manifest.leaders
    rows = {cells[0]: cells[1:] for line in reversed(text(console).splitlines()) if (cells := line.split())}
    assert rows["knn"][:2] == [metric.text for metric in manifest.baselines["knn"].headline]
    assert rows["logistic_regression"][:2] == [
        metric.text for metric in manifest.baselines["logistic_regression"].headline
    ]
    assert manifest.metrics["test"].decisive.text in rows["this"]
    assert "weight" not in rows["method"]
    assert manifest.leaders.conclusion in text(console)


def test_the_most_important_columns_are_printed_and_those_that_are_alike(
    console: Console, store: ModelRepository
) -> None:
    manifest = store.find("clouds", 2).manifest()
    columns = {
        f"x{place}": ColumnImportance(mean=0.5 - place / 100, interval=(0.25, 0.75 - place / 100))
        for place in range(12)
    }
    both = JointImportance(columns=("x1", "x2"), mean=0.875, interval=(0.5, 1.25))
    found = Importance(figure="log_loss", rows=50, repeats=30, columns=columns, together=(both,))

    print_comparison(console, manifest.model_copy(update={"importance": found}))

    assert row(console, "x0") == ["0.5000", "0.2500 to 0.7500"]
    assert "x10" not in text(console)
    assert "and 2 more columns" in text(console)
    assert "shuffled together: 0.8750 for x1, x2" in text(console)


def test_a_version_without_a_leader_board_is_put_beside_its_baselines(console: Console, store: ModelRepository) -> None:
    manifest = store.find("clouds", 2).manifest().model_copy(update={"leaders": None})

    print_comparison(console, manifest)

    assert row(console, "knn") == [metric.text for metric in manifest.baselines["knn"].headline]


def test_a_regression_shows_its_errors_and_their_unit(console: Console, repository: ModelRepository) -> None:
    found = repository.publish(sample_regression(), MODEL)

    print_evaluation(console, found.manifest().metrics["test"], split_title(found, found.manifest()))
    print_comparison(console, found.manifest())
    print_versions(console, repository)

    title = "petals version 1, test split, errors in g"
    assert f"{title}: R2 0.7500, RMSE 2.5000, MAE 2.0000, median absolute error 1.5000" in text(console)
    assert row(console, "mean") == ["0.0000", "5.0000"]
    assert row(console, "petals")[2:4] == ["R2 0.7500, RMSE 2.5000", "8"]


def test_two_regressors_are_shown_with_their_largest_differences(console: Console, repository: ModelRepository) -> None:
    answers = ([(2, 10.0, 11.0), (3, 20.0, 20.0), (-1, 5.0, 5.0)], [(2, 10.0, 10.5), (3, 20.0, 26.125), (-1, 5.0, 8.0)])
    versions = [
        repository.publish(
            sample_regression(),
            MODEL,
            {"test_predictions.csv": write_values((line, ValuePrediction(*values)) for line, *values in rows)},
        )
        for rows in answers
    ]

    print_two_versions(console, compare_versions(*versions))

    assert "version 1 is closer to the truth in 2, version 2 in 1 (sign test: p = 1)" in " ".join(text(console).split())
    assert row(console, "3") == ["20", "20", "26.125"]
    assert row(console, "feedback") == ["5", "5", "8"]


def test_a_cross_validation_shows_mean_and_spread(console: Console) -> None:
    score = MethodScore("ours", {"accuracy": Spread(0.9, 0.01), "log loss": Spread(0.2, 0.02)})

    print_cross_validation(console, [score], "folds")

    assert row(console, "ours") == ["0.9000 ± 0.0100", "0.2000 ± 0.0200"]
