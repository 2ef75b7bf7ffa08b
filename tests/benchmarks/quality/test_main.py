"""The command that measures and writes docs/quality.md."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.quality import __main__ as command
from benchmarks.quality import published, systems
from benchmarks.quality.findings import Cell, Finding


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the place of docs/quality."""
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def found(file: str, system: str, seed: int = 0, *losses: float) -> Finding:
    return Finding(cell=Cell(file=file, system=system, seed=seed), losses=losses or (0.5, 0.25), rows=150)


def keep(file: Path, findings: Sequence[Finding]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress("".join(f"{each.model_dump_json()}\n" for each in findings).encode()))


def show(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    assert command.main(["--report", "--results", str(folder / "none.jsonl"), *arguments]) == 0
    return capsys.readouterr().out


def test_a_report_shows_all_that_is_kept_whether_or_not_it_could_be_measured_here(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(systems, "missing", lambda name, _autogluon: f"{name} is not here")
    both = ("auto", "autogluon")
    keep(kept / "one.jsonl.gz", [found("iris", name) for name in both])
    keep(kept / "two.jsonl.gz", [found("iris", name, 1, 0.75, 1.0) for name in both])

    shown = show(capsys, kept)

    assert "| `autogluon` | 1.50 | 1 | 1 |" in shown
    assert "| `iris` | log loss | 0.625 ± 0.12 (1.5) | 0.625 ± 0.12 (1.5) | - |" in shown  # the mean of both splits
    assert "* `mlp` is not measured: mlp is not here." in shown
    assert "`autogluon` is not measured" not in shown
    assert "| `iris` | log loss | 0.375 ± 0.12 (1.5) | 0.375 ± 0.12 (1.5) | - |" in show(capsys, kept, "--seeds", "1")


def test_a_report_of_some_systems_and_tables_shows_these(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(kept / "one.jsonl.gz", [found(file, name) for file in ("iris", "wine") for name in ("auto", "mlp", "linear")])

    shown = show(capsys, kept, "--systems", "auto", "mlp", "--only", "wine")

    assert "| table | figure | auto | mlp | AutoGluon, other split |" in shown
    assert "`iris`" not in shown
    assert "`linear`" not in shown


def test_published_figures_are_kept_for_themselves(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"accuracy": 0.81, "auc": 0.85, "auc_error": 0.01, "measured": "2026-11-28"}
    keep(kept / "one.jsonl.gz", [found("telco.csv", "auto")])
    keep(kept / "published" / "one.jsonl.gz", [found("telco.csv", "auto", 0, 0.75, 1.0).model_copy(update=told)])

    shown = show(capsys, kept, "--published")

    assert "| `telco.csv` | 1 | AUC at least 0.845 | 0.8500 ± 0.0100 | yes |" in shown
    assert "Measured on 2026-11-28." in shown
    assert "| `telco.csv` | log loss | **0.375 ± 0.12** (1) | - |" in show(capsys, kept).replace("0.4119", "-")


def test_published_tables_are_measured_by_the_systems_that_their_goals_name() -> None:
    assert published.systems_of("telco.csv") == ("auto",)
    assert published.systems_of("CPS1988.csv") == ("auto", "boosting")
    assert published.systems_of("mnist_5000.csv") == ("mlp", "cnn")
    assert {name for file in published.GOALS for name in published.systems_of(file)} <= set(systems.FITS)
