from __future__ import annotations

from benchmarks.quality import document
from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.standings import Standings


def finding(file: str, system: str, *losses: float, seed: int = 0) -> Finding:
    return Finding(cell=Cell(file=file, system=system, seed=seed), losses=losses, rows=10, whole_s=360, row_us=30)


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


def test_each_split_has_its_mean_ranks_and_hours_and_a_system_of_some_tables_has_none() -> None:
    files = [f"table {number}" for number in range(5)]
    findings = [finding(file, name, loss, loss) for file in files for name, loss in (("auto", 1.0), ("mlp", 2.0))]
    findings += [finding(files[0], name, loss, loss, seed=1) for name, loss in (("auto", 4.0), ("mlp", 3.0))]
    findings += [finding(file, "tuned-boosting", 0.5, 0.5) for file in files[:2]]

    text = document.write(Standings(findings, ["auto", "mlp", "tuned-boosting"]), [])

    assert (
        "* Mean ranks by split, 5 of which are wanted: split 0 (5 tables, processes of 1.2 h) auto 1.00, mlp 2.00; "
        "split 1 (1 tables, processes of 0.2 h) mlp 1.00, auto 2.00." in text
    )
    assert "* `tuned-boosting` has no rank: it was measured on 2 of 5 tables; `auto` is better on 0 of 2." in text
    assert "| `tuned-boosting` | - | - | 2 |" in text
    assert "| `table 4` | log loss | **1 ± 0** (1) | 2 ± 0 (2) | - | - |" in text
    assert "| `table 0` | classification | 2 | 10 |" in text


def test_nothing_measured_is_said() -> None:
    assert document.write(Standings([], ["auto"]), []) == "Nothing is measured yet."
