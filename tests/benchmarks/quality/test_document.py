from __future__ import annotations

from benchmarks.quality import document
from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.standings import Standings


def finding(file: str, system: str, *losses: float) -> Finding:
    return Finding(cell=Cell(file=file, system=system, seed=0), losses=losses, rows=10, whole_s=2, row_us=30)


def test_goals_name_the_tables_where_they_are_missed() -> None:
    findings = [
        finding("good", "auto", 0.1, 0.2),
        finding("good", "boosting", 0.3, 0.4),
        finding("good", "mlp", 0.3, 0.4),
        finding("bad", "auto", 0.8, 0.81),
        finding("bad", "boosting", 0.1, 0.12),
        finding("bad", "mlp", 0.2, 0.21),
    ]

    said = " ".join(document.goals(Standings(findings, ["auto", "boosting", "mlp"])))

    assert "`auto` has not the best mean rank on 2 tables" in said
    assert "on 1 of 2 tables (50%; goal 80 %); it is behind on bad (boosting)." in said
    assert "worse than `mlp` by more than two standard errors on bad of 2." in said


def test_a_system_without_a_figure_has_a_dash_and_a_skipped_one_a_reason() -> None:
    findings = [finding("one", "auto", 0.1, 0.2), finding("one", "mlp", 0.3, 0.4), finding("two", "auto", 1, 1.5)]

    text = document.write(Standings(findings, ["auto", "mlp"]), ["`lightgbm` is not measured: not installed."])

    assert "| `one` | log loss | **0.15 ± 0.05** (1) | 0.35 ± 0.05 (2) | - |" in text
    assert "| `two` | log loss | 1.25 ± 0.25 | - | - |" in text
    assert "* `lightgbm` is not measured: not installed." in text


def test_nothing_measured_is_said() -> None:
    assert document.write(Standings([], ["auto"]), []) == "Nothing is measured yet."
