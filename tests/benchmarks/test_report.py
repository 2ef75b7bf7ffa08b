from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import plots, report
from benchmarks.outcomes import FAILED, Outcome, Results
from tests.benchmarks.test_outcomes import MACHINE, drifting

PLOTS = [Path("docs/performance/curve.svg")]
DOCUMENT = (
    "# Title\n" + "\n".join(f"<!-- bench:{name} -->old<!-- /bench:{name} -->" for name in report.MARKERS) + "\nend"
)


def results() -> Results:
    curve = Outcome(scenario="curve", title="Curve")
    half = Outcome(scenario="half_capacity", title="Half")
    for system in ("asgi", "tabserve"):
        curve.add(system, **{"rows_per_s@1": 1000, "rows_per_s@100": 50_000})
        half.add(system, p50_ms=1, p99_ms=2, late_p99_ms=0.9)
    return Results(machine=MACHINE, outcomes={"one_row_64": drifting(), "curve": curve, "half_capacity": half})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12, "12"), (0.123456, "0.123"), (12345.6, "12,300"), (1_234_567, "1.23 M"), (1.5, "1.5")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("requests_per_s", "requests/s"),
        ("p99_ms", "p99 ms"),
        ("pss_start_mb", "pss start MB"),
        ("failures", "failures"),
    ],
)
def test_metrics_have_titles_for_people(metric: str, title: str) -> None:
    assert report.title(metric) == title


def test_a_scenario_that_failed_says_why_and_its_goals_are_not_measured() -> None:
    failed = Outcome(scenario="one_row_64", title="One row", skipped={FAILED: "answered 500"})
    broken = Results(machine=MACHINE, outcomes={"one_row_64": failed})
    assert report.tables(broken) == "### One row\n\nSkipped, all: answered 500."
    assert "| >= 0.75 | not measured: answered 500 |  |" in report.goals_table(broken)


def test_tables_show_ratio_median_and_range() -> None:
    table = report.outcome_table(drifting())
    assert "| system | requests/s / constant | requests/s | p50 ms |" in table
    assert "| tabserve | 0.8 (0.5 to 0.8) | 500 (400 to 800) | 2 |" in table


def test_a_curve_has_a_line_for_each_number_of_rows() -> None:
    assert "| 100 | 50,000 | 50,000 |" in report.tables(results())


def test_a_late_client_is_said_to_be_one() -> None:
    assert "Its lateness is a good part of the p99 of: asgi, tabserve" in report.tables(results())


def test_filling_twice_is_filling_once_and_keeps_the_text_around() -> None:
    once = report.fill(DOCUMENT, results(), PLOTS)
    assert report.fill(once, results(), PLOTS) == once
    assert "](performance/curve.svg)" in once
    assert once.startswith("# Title\n")
    assert once.endswith("\nend")
    assert "old" not in once


def test_a_document_without_places_is_refused() -> None:
    with pytest.raises(report.NoMarker, match="bench:goals"):
        report.fill(DOCUMENT.replace("bench:goals", "bench:other"), results(), PLOTS)


def test_the_page_of_the_documentation_has_the_places() -> None:
    page = Path(report.__file__).parents[1] / "docs" / "performance.md"
    assert "abacus" in report.fill(page.read_text("utf-8"), results(), PLOTS)


@pytest.mark.slow
def test_plots_are_drawn_from_whatever_was_measured(tmp_path: Path) -> None:
    drawn = plots.draw(results(), tmp_path)
    assert {path.name for path in drawn} == {"throughput.svg", "curve.svg", "latency.svg", "goals.svg"}
    assert all(path.read_text("utf-8").startswith("<?xml") for path in drawn)
