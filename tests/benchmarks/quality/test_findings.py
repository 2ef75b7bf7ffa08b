from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks.quality.findings import Cell, Finding, Findings

CELLS = [Cell(file="iris", system=system, seed=0) for system in ("auto", "mlp", "linear")]


def test_a_file_cut_short_goes_on_with_the_cell_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.jsonl"
    findings = Findings(path)
    for cell in CELLS:
        findings.add(Finding(cell=cell, losses=(0.5, 0.25)))
    path.write_bytes(path.read_bytes()[:-9])  # killed in the middle of a line

    again = Findings(path)
    assert [again.of(cell) is None for cell in CELLS] == [False, False, True]
    again.add(Finding(cell=CELLS[2], losses=(1.0,)))

    found = Findings(path).of(CELLS[2])
    assert found is not None
    assert found.losses == (1.0,)
    assert len(Findings(path).all()) == 3


def test_a_problem_is_kept_to_be_shown_and_measured_again(tmp_path: Path) -> None:
    findings = Findings(tmp_path / "found.jsonl")
    findings.add(Finding(cell=CELLS[0], problem="no memory"))
    assert findings.of(CELLS[0]) is None
    assert [found.problem for found in findings.all()] == ["no memory"]

    findings.add(Finding(cell=CELLS[0], losses=(1.0,)))

    assert [found.problem for found in Findings(tmp_path / "found.jsonl").all()] == [""]


def test_another_budget_is_another_cell(tmp_path: Path) -> None:
    findings = Findings(tmp_path / "found.jsonl")
    findings.add(Finding(cell=CELLS[0]))

    assert findings.of(CELLS[0].model_copy(update={"budget_s": 5.0})) is None


def test_kept_findings_count_unless_they_are_measured_again_and_stay_as_they_are(tmp_path: Path) -> None:
    earlier = Findings(tmp_path / "earlier.jsonl")
    for cell in CELLS[:2]:
        earlier.add(Finding(cell=cell, losses=(0.5,)))
    kept = tmp_path / "kept.jsonl.gz"
    kept.write_bytes(gzip.compress((tmp_path / "earlier.jsonl").read_bytes()))
    before = kept.read_bytes()

    findings = Findings(tmp_path / "found.jsonl", [kept])
    findings.add(Finding(cell=CELLS[0], losses=(0.25,)))

    again = Findings(tmp_path / "found.jsonl", [kept])
    assert [found.losses if (found := again.of(cell)) else None for cell in CELLS] == [(0.25,), (0.5,), None]
    assert kept.read_bytes() == before


def test_another_file_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "found.jsonl").write_text("{}\n")

    with pytest.raises(ValueError, match="line 1: expected a finding"):
        Findings(tmp_path / "found.jsonl")
