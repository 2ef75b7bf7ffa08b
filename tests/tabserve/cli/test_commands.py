"""Commands start as a user starts them."""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib import metadata

import pytest
from typer.testing import CliRunner

from tabserve.cli.commands import app
from tests.processes import PROJECT

MOST_CPU_S = 0.3


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tabserve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=300)


def test_version_is_shown_at_once() -> None:
    cpu_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = run("--version")
        cpu_s.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)

    assert done.stdout == f"tabserve {metadata.version('tabserve')}\n"
    assert min(cpu_s) < MOST_CPU_S  # another child of this process may end in one of them
    assert CliRunner().invoke(app, ["--version"]).stdout == done.stdout


@pytest.mark.slow
def test_commands_of_the_service_are_passed_on_with_their_exit_codes() -> None:
    assert "--models-dir" in run("serve", "--help").stdout
    wrong = run("serve", "--port", "99999")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (3, 1)
    assert "create" in run("keys", "--help").stdout
    assert run("audit", "verify", "/nothing/there").returncode == 3
