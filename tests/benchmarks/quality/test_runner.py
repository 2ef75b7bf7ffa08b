from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality import runner
from benchmarks.quality.findings import Cell, Finding, Findings
from benchmarks.quality.runner import Processes, describe_left


class Stopping(Processes):
    """Finds at once; the cell of system `stop` is where a person presses Ctrl-C."""

    measured: list[str]

    def measure(self, cell: Cell) -> Finding:
        self.measured.append(cell.system)
        if cell.system == "stop":
            raise KeyboardInterrupt
        return Finding(cell=cell)


def stopping() -> Stopping:
    processes = Stopping(1)
    processes.measured = []
    return processes


def cells(*systems: str) -> list[Cell]:
    return [Cell(file="iris", system=system, seed=0) for system in systems]


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, said = tmp_path / "found.jsonl", list[str]()
    with pytest.raises(KeyboardInterrupt):
        runner.run(cells("a", "stop", "b"), stopping(), Findings(path), jobs=1, say=said.append)

    processes = stopping()
    runner.run(cells("a", "b"), processes, Findings(path), jobs=1, say=said.append)

    assert processes.measured == ["b"]
    assert "1 of 2 cells are there" in said


def test_time_left_is_that_of_the_same_system_shared_by_the_jobs() -> None:
    done = [Finding(cell=cell, whole_s=s) for cell, s in zip(cells("slow", "quick"), (600, 60), strict=True)]

    assert describe_left(cells("slow", "quick", "quick"), done, 2) == ", about 6 min"
    assert describe_left(cells("unknown"), done, 1) == ", about 6 min"  # the mean: 330 s
    assert describe_left(cells("slow"), [], 2) == ""


@pytest.mark.slow
def test_a_cell_is_measured_in_a_process_and_one_that_fails_says_why() -> None:
    good, bad = (Processes(1).measure(Cell(file=file, system="linear", seed=1)) for file in ("iris", "nothing"))

    assert good.problem == ""
    assert (good.rows, good.columns) == (150, {"numeric": 4})
    assert good.accuracy is not None
    assert good.accuracy > 0.85
    assert 0 < sum(good.losses) / len(good.losses) < 0.4
    assert "nothing" in bad.problem
