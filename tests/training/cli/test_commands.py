from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelstore import EpochMetrics, JobResult, ModelRepository, from_line
from tests.training.cli.consoles import invoke
from tests.training.samples import DATA, PROJECT, command
from training.cli.commands import app


@pytest.mark.slow
def test_fit_as_the_service_runs_it_ends_in_a_result(tmp_path: Path) -> None:
    done = command(
        "fit", "iris", "--json-lines", "--job", "j1", "--activate", "if_better", "--overrides", '{"epochs": 4}',
        "--models-dir", tmp_path, "--data-dir", DATA, "--recipes-dir", PROJECT / "training" / "recipes",
    )  # fmt: skip

    events = [from_line(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [event.epoch for event in events if isinstance(event, EpochMetrics)] == [1, 2, 3, 4]
    assert isinstance(events[-1], JobResult)
    assert (events[-1].version, events[-1].activated) == (1, True)


@pytest.mark.slow
def test_sigterm_ends_in_a_result_and_publishes_nothing(tmp_path: Path) -> None:
    arguments = ["fit", "blobs", "--json-lines", "--set", "epochs=100000", "--models-dir", str(tmp_path / "models")]
    with subprocess.Popen(
        [sys.executable, "-m", "training", *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if isinstance(from_line(line), EpochMetrics):
                break
        child.send_signal(signal.SIGTERM)
        last = child.stdout.read().splitlines()[-1]

    result = from_line(last)
    assert isinstance(result, JobResult)
    assert (child.returncode, result.reason) == (130, "cancelled")
    assert not (tmp_path / "models").exists()


def test_list_shows_versions_and_the_active_one(models: Path) -> None:
    done = invoke("list", "--models-dir", models)

    assert done.exit_code == 0
    assert [("active" in line) for line in done.stdout.splitlines() if "clouds" in line] == [False, True]


def test_activate_goes_backwards_too(models: Path) -> None:
    done = invoke("activate", "clouds", "1", "--models-dir", models)

    assert (done.exit_code, done.stdout) == (0, "clouds version 1 is active\n")
    assert ModelRepository(models).active("clouds") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["activate", "clouds", "9"], "model 'clouds' has no version 9; published: 1, 2"),
        (["activate", "titanic", "1"], "no model 'titanic'; the store has clouds"),
        (["activate", "../x", "1"], "a model name must be"),
        (["evaluate", "titanic"], "no model 'titanic'"),
        (["compare", "titanic"], "no recipe 'titanic'; known recipes: blobs"),
        (["fit", "titanic"], "no recipe 'titanic'; known recipes: blobs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_one_line_and_code_2(models: Path, arguments: list[str], said: str) -> None:
    folders = ["--models-dir", str(models)] if arguments[0] != "compare" else []

    done = invoke(*arguments, *folders)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_name_that_an_address_would_hide_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """Also where the file gives the name."""
    (tmp_path / "stats.csv").write_text("x,y\n1,a\n2,b\n")

    ended = command("fit", "--data", tmp_path / "stats.csv", "--target", "y", "--models-dir", tmp_path / "models")

    assert ended.returncode == 2
    assert "a new model's name must be one that hides behind no address of the service, got 'stats'" in ended.stderr
    assert "loading PyTorch" not in ended.stdout


def test_a_missing_data_file_is_one_line_and_code_1(tmp_path: Path) -> None:
    done = invoke("compare", "iris", "--data-dir", tmp_path)

    assert done.exit_code == 1
    assert done.stderr.startswith("error: iris.csv: no such file")


def test_waiting_process_inspects_the_file_that_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("x,y\n1,a\n2,b\n")
    told = json.dumps(["inspect", str(tmp_path / "table.csv"), "--json"]) + "\n"

    shown = CliRunner().invoke(app, ["wait"], input=told)

    assert (shown.exit_code, json.loads(shown.stdout)["summary"]["rows"]) == (0, 2)
    assert CliRunner().invoke(app, ["wait"], input="").stdout == ""


def test_old_versions_are_pruned_on_request(models: Path) -> None:
    shown = invoke("prune", "clouds", "--keep", 1, "--models-dir", models)

    assert (shown.exit_code, shown.stdout) == (0, "clouds: versions removed: none\n")  # 2 is active, 1 was before it


def test_a_permit_without_a_job_is_wrong_usage(tmp_path: Path) -> None:
    shown = invoke("fit", "iris", "--permit", "t", "--models-dir", tmp_path)

    assert (shown.exit_code, shown.stdout.count("\n")) == (2, 1)
    assert "--job beside it" in shown.stderr


@pytest.mark.slow
def test_data_is_written_and_checked(tmp_path: Path) -> None:
    missing = invoke("data", "--check", "--data-dir", tmp_path)
    written = invoke("data", "--data-dir", tmp_path)
    checked = invoke("data", "--check", "--data-dir", tmp_path)

    assert (missing.exit_code, written.exit_code, checked.exit_code) == (1, 0, 0)
    assert "blobs.csv" in missing.stderr
    assert "exactly as generated" in checked.stdout


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = invoke("data", "--data-dir", tmp_path / "file")

    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
