"""Misspelt settings are named with the nearest one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.errors import ConfigurationError
from app.server.unknown_settings import describe_unknown_variables, require_known_flags
from tests.processes import PROJECT


def test_an_unknown_variable_is_named_with_the_nearest_setting() -> None:
    said = list(describe_unknown_variables({"TABSERVE_PROT": "9000", "TABSERVE_ZZZ": "", "PATH": ""}))

    assert said == [
        "the variable TABSERVE_PROT is no setting and has no effect; did you mean TABSERVE_PORT?",
        "the variable TABSERVE_ZZZ is no setting and has no effect",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "TABSERVE_PORT",
        "TABSERVE_API_KEY",
        "TABSERVE_LIVES",
        "TABSERVE_SERVICE_HOST",
        "TABSERVE_API_SERVICE_PORT_HTTP",
        "TABSERVE_PORT_8000_TCP",
        "TABSERVE_PORT_8000_TCP_ADDR",
    ],
)
def test_settings_and_what_kubernetes_or_a_restart_sets_are_no_mistake(name: str) -> None:
    assert list(describe_unknown_variables({name: "x"})) == []


def test_an_unknown_flag_is_refused_with_the_nearest() -> None:
    require_known_flags(["--port", "9000", "--models-dir=x", "--no-demo", "--help", "--max-que", "5"])
    with pytest.raises(ConfigurationError, match=r"--prot is no setting; did you mean --port\? \(--help lists all\)"):
        require_known_flags(["--prot=9"])


@pytest.mark.slow
def test_the_service_says_so_when_it_starts() -> None:
    command = [sys.executable, "-m", "app", "--modles-dir", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=300)

    assert (done.returncode, done.stderr) == (
        3,
        "tabserve: --modles-dir is no setting; did you mean --models-dir? (--help lists all)\n",
    )
