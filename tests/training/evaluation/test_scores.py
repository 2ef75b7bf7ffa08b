from __future__ import annotations

import statistics

import pytest

from training.evaluation.scores import FoldScore, summarise


def test_a_method_that_lacks_a_fold_is_left_out() -> None:
    scores = [FoldScore("ours", fold, {"accuracy": 1.0}) for fold in range(3)]
    scores += [FoldScore("knn", fold, {"accuracy": 1.0}) for fold in (0, 2)]

    assert [score.method for score in summarise(scores)] == ["ours"]


def test_methods_are_summarised_in_order_of_appearance() -> None:
    scores = [
        FoldScore(method, fold, {"accuracy": accuracy, "log loss": loss})
        for fold, (accuracy, loss) in enumerate([(0.9, 0.2), (1.0, 0.1), (0.8, 0.6)])
        for method in ("ours", "knn")
    ]

    ours, knn = summarise(scores)

    assert (ours.method, knn.method) == ("ours", "knn")
    assert ours.figures["accuracy"] == pytest.approx((0.9, 0.1))
    assert ours.figures["log loss"] == pytest.approx((0.3, statistics.stdev([0.2, 0.1, 0.6])))
