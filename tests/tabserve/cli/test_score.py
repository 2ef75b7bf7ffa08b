"""`tabserve score` answers files and says how it went."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from modelstore import ModelRepository
from tabserve.cli.commands import app
from tests.fakes import publish


@pytest.fixture
def said(repository: ModelRepository, tmp_path: Path) -> list[str]:
    publish(repository)
    (tmp_path / "rows.csv").write_text("right,left\n0.5,0.0\n1,oops\n")
    given = ["--in", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out.parquet"), "--workers", "1"]
    return ["score", "--model", "means@1", "--models-dir", str(repository.root), *given]


def test_rows_are_answered_and_bad_ones_counted_and_named(said: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*said, "--on-error", "skip"])

    assert (done.exit_code, done.stdout) == (0, "")
    assert "2 rows by means version 1 in " in done.stderr
    assert "1 rows have an error in place of an answer (column error), the first:" in done.stderr
    assert "rows.csv, line 3: left: must be a number, got text" in done.stderr
    assert pq.read_table(tmp_path / "out.parquet")["label"].to_pylist() == ["low", None]


def test_what_is_wrong_is_one_line_and_exit_code_one(said: list[str]) -> None:
    for more, problem in (
        ([], "rows.csv: line 3, column 'left': must be a number"),
        (["--confidence", "2"], "confidence: must be a number between 0 and 1"),
        (["--threshold", "7"], "threshold: must be above 0 and below 1"),
        (["--explain"], "explain: version 1 of means has no background rows"),
        (["--model", "maens"], "did you mean means?"),
    ):
        done = CliRunner().invoke(app, [*said, *more])
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert problem in done.stderr
    assert "--confidence" in CliRunner().invoke(app, [*said, "--confidance", "1"]).stderr
