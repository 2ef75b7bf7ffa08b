from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.outcomes import Machine, Outcome, Results, Spread

MACHINE = Machine(
    processor="abacus",
    cores=2,
    system="Linux 6",
    python="3.11.7",
    libraries={"torch": "2.13.0"},
    client="wrk",
    server_cores=[0],
    client_cores=[1],
    load_average=0.1,
)


def drifting() -> Outcome:
    """Both systems are half as fast in the second round, and in the third one of them is."""
    outcome = Outcome(scenario="one_row_64", title="One row", reference="constant")
    for constant, tabserve in ((1000, 800), (500, 400), (1000, 500)):
        outcome.add("constant", requests_per_s=constant)
        outcome.add("tabserve", requests_per_s=tabserve, p50_ms=2)
    return outcome


def test_a_spread_is_median_and_range() -> None:
    assert Spread.of([3, 1, 2, 10]) == Spread(2.5, 1, 10)


def test_ratios_are_taken_round_by_round() -> None:
    assert drifting().ratio("tabserve", "constant", "requests_per_s") == Spread(0.8, 0.5, 0.8)


def test_a_ratio_may_be_of_two_metrics() -> None:
    outcome = Outcome(scenario="s", title="")
    outcome.add("tabserve", p50_ms=2, p99_ms=5)
    assert outcome.ratio("tabserve", "tabserve", "p99_ms", "p50_ms") == Spread(2.5, 2.5, 2.5)


@pytest.mark.parametrize("metric", ["requests_per_s", "rows_per_s"])
def test_what_was_not_measured_has_no_ratio(metric: str) -> None:
    assert drifting().ratio("nobody", "constant", metric) is None
    assert drifting().spread("nobody", metric) is None


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    results = Results(machine=MACHINE, outcomes={"one_row_64": drifting()})
    results.write(tmp_path / "new" / "results.json")
    assert Results.read(tmp_path / "new" / "results.json") == results
