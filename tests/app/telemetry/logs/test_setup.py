"""Logging of a whole process: warnings, threads and exceptions are records too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.processes import PROJECT

pytestmark = pytest.mark.slow

SOURCE = """
import logging, os, sys, threading, warnings
from app.telemetry.logs.setup import configure, log_all
from app.settings import Settings
log_all()
handler = configure(Settings(log_format=sys.argv[1]))
if os.fork() == 0:
    logging.getLogger("forked").info("before the thread")
    os._exit(0)
os.wait()
handler.start()
if os.fork() == 0:
    logging.getLogger("forked").info("after the thread")
    os._exit(0)
os.wait()
warnings.warn("careful\\nnow")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
class Bad:
    def __del__(self): raise ValueError("41.4142")
Bad()
raise ValueError("41.4142")
"""


def run(form: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", SOURCE, form], cwd=PROJECT, timeout=300, check=False, **more)


@pytest.mark.slow
def test_warnings_threads_and_what_nobody_caught_are_records_too_and_the_last_is_written() -> None:
    done = run("json", capture_output=True)

    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["logger"] for line in found] == ["forked", "forked", "py.warnings", *["app.telemetry.logs.setup"] * 3]
    assert [line["error"] for line in found[3:]] == ["ZeroDivisionError", "ValueError", "ValueError"]
    assert b"41.4142" not in done.stderr


def test_lines_for_people_have_a_traceback_below_them() -> None:
    said = run("text", capture_output=True).stderr.decode().splitlines()

    assert " warning py.warnings " in said[2]
    assert "careful\\nnow" in said[2]
    assert any(line.startswith("  <string>:") for line in said)


@pytest.mark.slow
def test_standard_error_that_was_closed_is_nobody_elses_number() -> None:
    def close() -> None:
        os.close(2)

    assert run("json", preexec_fn=close).returncode == 1
