"""Rows of a file are predicted without a service."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelstore import ModelRepository
from tabserve.cli.commands import app
from tests.fakes import publish


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("right,left\n0.5,0.0\n1,1\n")
    return path


def test_the_only_model_answers_on_standard_output(repository: ModelRepository, rows: Path) -> None:
    publish(repository)
    done = CliRunner().invoke(app, ["predict", str(rows), "--models-dir", str(repository.root)])

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == ["low,0.75,0.75,0.25", "high,1.0,0.0,1.0"]


def test_a_model_and_version_are_chosen_and_a_file_is_written(
    repository: ModelRepository, rows: Path, tmp_path: Path
) -> None:
    publish(repository)
    publish(repository, shift=0.5, activate=False)
    publish(repository, "other")
    run, out = CliRunner().invoke, tmp_path / "out.csv"
    said = ["predict", str(rows), "--models-dir", str(repository.root)]

    assert f"{repository.root} has means, other: choose one with --model" in run(app, said).output
    assert run(app, [*said, "--model", "means", "--version", "2", "-o", str(out)]).output == ""
    assert out.read_text().splitlines()[1] == "high,0.75,0.25,0.75"
    folder = str(repository.root / "means" / "1")
    assert run(app, ["predict", str(rows), "--model", folder]).stdout.startswith("label,probability")


def test_what_is_wrong_is_one_line_and_exit_code_one(repository: ModelRepository, rows: Path, tmp_path: Path) -> None:
    publish(repository)
    run, said = CliRunner().invoke, ["predict", str(rows), "--models-dir"]

    empty = run(app, [*said, str(tmp_path / "nothing")])
    assert (empty.exit_code, empty.stderr) == (
        1,
        f"error: {tmp_path / 'nothing'} has no model; `tabserve fit` trains one\n",
    )
    rows.write_text("left,right\n1,oops\n")
    bad = run(app, [*said, str(repository.root)])
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert bad.stderr.startswith("error: line 2, column 'right': must be a number, got text")


def test_a_version_behind_the_name_is_asked_of_a_service_too(rows: Path) -> None:
    asked = []

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = CliRunner().invoke(app, ["predict", str(rows), "--url", url, "--model", "churn@3"])
        server.shutdown()
        thread.join()

    assert (done.exit_code, asked) == (1, ["/models/churn/versions/3"])
