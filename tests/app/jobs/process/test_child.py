"""What a child process writes for people becomes lines of a log."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs.process.child import Child, plain

TABLE = """
import sys
print("iris: training\\n\\n┏━━━━━━━┳━━━━━━━━━━┓\\n┃ class ┃ accuracy ┃\\n┡━━━━━━━╇━━━━━━━━━━┩\\n│ für   │   0.9667 │\\n└───────┴──────────┘")
sys.exit(7)
"""  # noqa: E501


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("│ für   │   0.9667 │\n", "für       0.9667"),
        ("└───────┴──────────┘\n", ""),
        ("  File 'x', line 3 \n", "  File 'x', line 3"),
    ],
)
def test_boxes_of_a_table_are_no_text(line: str, text: str) -> None:
    assert plain(line.encode()) == text


def test_child_that_does_not_read_what_it_is_told_ends_as_any_other() -> None:
    async def scene() -> tuple[list[bytes], str]:
        heard: list[bytes] = []
        command = [sys.executable, "-I", "-S", "-c", "print('enough')"]
        child = await Child.start(command, {}, heard_nothing, b"x" * (4 << 20))
        await child.listen(heard.append)
        await child.end(120.0)
        return heard, child.last_words()

    def heard_nothing(line: str) -> None:
        raise AssertionError(line)

    assert asyncio.run(scene(), debug=True) == ([b"enough\n"], "exit code 0")


@pytest.mark.slow
def test_tables_of_the_trainings_before_a_start_are_plain_lines_in_a_json_log(tmp_path: Path) -> None:
    """Box characters stood escaped in them, and empty lines."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").touch()
    (tmp_path / "training" / "__main__.py").write_text(TABLE)
    command = [sys.executable, "-m", "app", "--demo", "--port", "0", "--log-format", "json"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    said = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (7, "")
    assert said == ["training: iris: training", "training: class   accuracy", "training: für       0.9667"]
