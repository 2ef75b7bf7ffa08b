"""Signals end a process that has not begun, and are noted by one that has."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from app.server.signals import SIGNALLED, STOPPING
from tests.processes import PROJECT

LEAVES = """
import signal, sys
from app.server.signals import leave_when_told
leave_when_told()
try:
    signal.raise_signal(int(sys.argv[1]))
finally:
    print("not reached")
"""
NOTES = """
import select, signal
from app.server.signals import NotedSignals
with NotedSignals() as signals:
    print(bool(select.select([signals], [], [], 0)[0]))
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    print(bool(select.select([signals], [], [], 20)[0]))
    print([int(number) for number in signals.take()], signals.take())
    signal.raise_signal(signal.SIGCHLD)
    print(bool(select.select([signals], [], [], 20)[0]), signals.take())
signal.raise_signal(signal.SIGTERM)
print("nothing is left to stop")
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=300, check=False)


@pytest.mark.parametrize("number", STOPPING)
def test_process_that_has_not_begun_ends_at_once_as_a_shell_reports_it(number: signal.Signals) -> None:
    ended = run(LEAVES, str(int(number)))

    assert (ended.returncode, ended.stdout, ended.stderr) == (SIGNALLED + number, "", "")


def test_signals_are_noted_in_their_order_and_ignored_afterwards() -> None:
    ended = run(NOTES)

    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["False", "True", "[15, 2] []", "True []", "nothing is left to stop"]


def test_module_imports_nothing_that_takes_time() -> None:
    ended = run("import sys, app.server.signals; print({'asyncio', 'uvicorn', 'torch'} & sys.modules.keys())")

    assert ended.stdout.strip() == "set()"
