from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.standings import Gain, Standings, mean_gain, rank


def finding(file: str, system: str, *losses: float, seed: int = 0, problem: str = "") -> Finding:
    cell = Cell(file=file, system=system, seed=seed)
    return Finding(cell=cell, task="regression" if file == "r" else "classification", losses=losses, problem=problem)


def test_equal_figures_share_the_mean_of_their_ranks() -> None:
    assert rank({"a": 0.3, "b": 0.1, "c": 0.3, "d": 0.7}) == {"a": 2.5, "b": 1, "c": 2.5, "d": 4}


def test_figures_are_mean_loss_or_its_root_with_the_error_over_the_rows() -> None:
    standings = Standings([finding("c", "a", 1, 2, 3), finding("r", "a", 1, 4, 4, 7)], ["a"])

    loss, rmse = standings.figure("c", "a"), standings.figure("r", "a")
    assert loss == pytest.approx((2, 1 / math.sqrt(3)))
    assert rmse == pytest.approx((2, math.sqrt(6) / 2 / 4))  # d sqrt(m) = dm / (2 sqrt(m))


def figures(file: str, *systems: str, seeds: int = 1) -> list[Finding]:
    """Return findings of some systems, the later ones the better."""
    losses = {system: float(len(systems) - place) for place, system in enumerate(systems)}
    return [finding(file, name, loss, loss, seed=seed) for seed in range(seeds) for name, loss in losses.items()]


def test_only_tables_with_a_figure_of_each_ranked_system_are_ranked() -> None:
    findings = [*figures("whole", "a", "b"), *figures("failed", "a"), finding("failed", "b", problem="no memory")]

    standings = Standings(findings, ["a", "b", "absent"])

    assert standings.files == ("whole", "failed")
    assert standings.ranked == standings.systems == ("a", "b")
    assert standings.ranks() == {"whole": {"a": 2, "b": 1}}
    assert list(standings.mean_ranks().items()) == [("b", 1), ("a", 2)]
    assert standings.gain("failed", "a", "b") is None


def test_a_split_that_is_measured_in_part_changes_no_figure() -> None:
    before = [*figures("first", "a", "b", seeds=2), *figures("second", "a", "b", seeds=2)]
    begun = [finding("first", name, 7, 7, seed=2) for name in "ab"] + [finding("second", "a", 9, 9, seed=2)]

    standings = Standings([*before, *begun], ["a", "b"])

    assert (standings.whole("first"), standings.whole("second")) == ((0, 1, 2), (0, 1))
    assert standings.ranks().keys() == {"first", "second"}
    assert standings.figure("second", "a") == Standings(before, ["a", "b"]).figure("second", "a")
    assert {seed: split.files for seed, split in standings.by_split().items()} == {
        0: ("first", "second"),
        1: ("first", "second"),
        2: ("first",),
    }


def test_a_system_of_some_tables_has_no_rank_and_takes_none_from_the_others() -> None:
    files = [f"table {number}" for number in range(20)]
    before = [each for file in files for each in figures(file, "a", "b", seeds=2)]
    some = [finding(file, "c", 0.5, 0.5) for file in files[:17]]

    standings = Standings([*before, *some], ["a", "b", "c"])

    assert (standings.systems, standings.ranked) == (("a", "b", "c"), ("a", "b"))
    assert standings.mean_ranks() == Standings(before, ["a", "b"]).mean_ranks() == {"b": 1, "a": 2}
    assert standings.figure(files[0], "c") == (0.5, 0)  # of the split that it has
    assert standings.gain(files[0], "c", "b") == Gain(0.5, 0)
    assert standings.gain(files[-1], "c", "b") is None
    more = [finding(file, "c", 0.5, 0.5, seed=seed) for file in files[:18] for seed in (0, 1)]
    assert Standings([*before, *more], ["a", "b", "c"]).ranks().keys() == set(files[:18])


def test_a_gain_pairs_rows_and_several_splits_do_not_shrink_its_error() -> None:
    ours, theirs = np.array([1.0, 2, 3]), np.array([2.0, 2, 4])

    one, three = (mean_gain([(ours, theirs)] * splits) for splits in (1, 3))

    assert one == pytest.approx((2 / 3, 1 / 3))
    assert three == pytest.approx(one)


def test_within_errors_is_about_being_worse_only() -> None:
    assert Gain(-0.9, 1).is_within(1)
    assert not Gain(-1.1, 1).is_within(1)
    assert Gain(5, 1).is_within(1)


def test_the_gain_is_over_the_best_of_the_others_on_the_table() -> None:
    standings = Standings([finding("c", "a", 2, 3), finding("c", "b", 2, 2), finding("c", "c", 9, 9)], ["a", "b", "c"])

    assert standings.gain_over_best("c", "a", ("b", "c", "absent")) == ("b", Gain(-0.5, 0.5))
