from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.ranking import ranking_of


def test_area_and_error_are_those_of_all_pairs() -> None:
    generator = np.random.default_rng(0)
    second, y = generator.random(60).round(1), generator.integers(0, 2, 60)  # rounded, so that there are ties
    found = ranking_of(np.column_stack((1 - second, second)), y)
    assert found is not None

    above, below = second[y == 1], second[y == 0]
    pairs = (above[:, None] > below) + 0.5 * (above[:, None] == below)  # (n, m)
    assert found.roc_auc == pytest.approx(pairs.mean())
    # DeLong et al. 1988, equations 5 and 6
    variance = pairs.mean(axis=1).var(ddof=1) / len(above) + pairs.mean(axis=0).var(ddof=1) / len(below)
    assert found.standard_error == pytest.approx(np.sqrt(variance))


@pytest.mark.slow
def test_the_error_of_several_classes_is_that_of_repeated_samples() -> None:
    def sample(seed: int) -> tuple[float, float]:
        generator = np.random.default_rng(seed)
        y = generator.integers(0, 3, 150)
        found = ranking_of(np.exp(np.eye(3)[y] + generator.standard_normal((150, 3))), y)
        assert found is not None
        return found.roc_auc, found.standard_error

    areas, errors = zip(*map(sample, range(200)), strict=True)

    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


@pytest.mark.parametrize("rows", range(3, 40))
def test_no_figure_is_rounded_beyond_1(rows: int) -> None:
    y = np.arange(rows) % 3
    found = ranking_of(np.eye(3)[y], y)

    assert found is not None
    assert (found.roc_auc, found.average_precision) == (1, 1)


def test_a_class_without_rows_does_not_count() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])

    found = ranking_of(probabilities, np.array([0, 1, 0]))

    assert found == (1.0, 0.0, 1.0, None)
    assert ranking_of(probabilities, np.array([0, 0, 0])) is None
