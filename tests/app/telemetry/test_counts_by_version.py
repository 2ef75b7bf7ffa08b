"""Counts of all versions: told apart, forgotten, inherited from processes that ended."""

from __future__ import annotations

import numpy as np

from app.telemetry import version_counters, version_report
from app.telemetry.counts_by_version import MAX_CLASSES, MAX_VERSIONS, CountsByVersion
from modelstore import NumericFeature
from tests.app.telemetry.figures import counts, ran


def test_versions_and_models_are_counted_apart() -> None:
    counted = CountsByVersion()
    ran(counted)
    counted.version("iris", 4).count_failures(requests=1, took_ns=0)
    counted.version("wine", 9).count_failures(requests=1, took_ns=0)

    assert version_report.versions([counted.figures], "iris") == {3, 4}
    assert version_report.of([counted.figures], "iris", 4).succeeded == 0


def test_counts_of_a_version_are_the_same_for_all_who_ask() -> None:
    counted = CountsByVersion()

    assert counts(counted) is counts(counted)
    assert counts(counted).key == ("iris", "3")


def test_versions_used_longest_ago_are_forgotten_and_the_others_keep_their_counts() -> None:
    counted = CountsByVersion()
    for version in range(1, MAX_VERSIONS + 1):
        counts(counted, version).count_failures(requests=version, took_ns=0)
    counts(counted, 1)  # is used again
    counted.version("wine", 1)

    counts(counted, 99)

    known = {1, *range(3, MAX_VERSIONS + 1), 99}
    assert version_report.versions([counted.figures], "iris") == known
    assert [version_report.of([counted.figures], "iris", version).failed for version in (1, 2, 3)] == [1, 0, 3]
    assert version_report.versions([counted.figures], "wine") == {1}
    assert {labels[1] for family in counted.figures.values() for labels in family if labels[0] == "iris"} == {
        *map(str, known),
        *version_counters.STAGES,
    }


def test_forgotten_version_counts_anew_when_it_comes_back() -> None:
    counted = CountsByVersion()
    for version in range(1, MAX_VERSIONS + 2):
        counts(counted, version).count_failures(requests=7, took_ns=0)

    counts(counted, 1).count_failures(requests=1, took_ns=0)

    assert version_report.of([counted.figures], "iris", 1).failed == 1


def test_predictions_of_very_many_classes_are_not_counted_by_class() -> None:
    counted = CountsByVersion()

    assert len(counted.version("few", 1, [str(k) for k in range(MAX_CLASSES)]).classes) == MAX_CLASSES
    assert counted.version("many", 1, [str(k) for k in range(MAX_CLASSES + 1)]).classes == ()


def test_counts_of_a_dead_process_go_on_where_they_were() -> None:
    dead, heir = CountsByVersion(), CountsByVersion()
    ran(dead, rows=2)
    counts(dead).count_predictions(1, 2)
    counts(dead).count_end("timeout")
    ran(heir)

    heir.inherit(dead.figures)
    ran(heir)
    counts(heir).count_predictions(1, 3)

    assert version_report.of([heir.figures], "iris", 3).total.rows == 4
    assert heir.figures[version_counters.PREDICTED][("iris", "3", "virginica")] == [5]
    assert {key[2]: n for key, (n,) in heir.figures[version_counters.ENDS].items() if n} == {"timeout": 1}


def test_f9_version_with_other_features_under_the_same_number_is_counted_anew() -> None:
    """F9: rows of three columns were put into the sample of those with two, which failed every prediction."""
    counted, deciles = CountsByVersion(), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    columns = [NumericFeature(name=name, mean=0, std=1, min=0, max=1, quantiles=deciles) for name in "abc"]
    for features in (columns[:2], columns):
        counts = counted.version("iris", 3, ("setosa", "virginica"), features)
        counts.count_sample(np.ones((1, len(features)), dtype=np.float32), np.ones((1, 2), dtype=np.float32))
        counts.count_end("ok")

    assert sum(counted.figures[version_counters.ENDS]["iris", "3", "ok"]) == 1


def test_times_of_a_forgotten_version_stay_with_its_model() -> None:
    counted = CountsByVersion()
    counts(counted, 1).count_answer((1, 1, 1, 1))
    for version in range(2, MAX_VERSIONS + 2):
        counts(counted, version)

    assert version_report.versions([counted.figures], "iris") == {*range(2, MAX_VERSIONS + 2)}
    assert counted.figures[version_counters.TIMES]["iris", "parse"][0] == 1
