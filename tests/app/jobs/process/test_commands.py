"""The command lines of the training's processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from app.jobs.process.commands import (
    confine,
    inspection_command,
    training_command,
    training_environment,
    waiting_command,
)
from app.settings import Settings
from modelstore import Dialect


def test_training_child_gets_the_path_of_the_key(signing: Settings, settings: Settings, key_file: Path) -> None:
    command = training_command(signing, "fit", "iris")

    assert command[command.index("--signing-key-file") + 1] == str(key_file)
    assert "--signing-key-file" not in training_command(settings, "fit", "iris")


def test_child_gets_the_variables_that_programs_need_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "elsewhere")
    monkeypatch.setenv("TABSERVE_DATABASE_URL", "postgresql://u:secret@host/db")

    environment = training_environment()

    assert (environment["TMPDIR"], environment["OMP_NUM_THREADS"]) == ("elsewhere", "1")
    assert not [name for name in environment if name.startswith("TABSERVE_")]


def test_confined_command_says_its_memory_its_niceness_and_its_parent() -> None:
    whole = confine(waiting_command(), 1 << 30, 7)

    assert whole[whole.index("--memory") + 1] == str(1 << 30)
    assert whole[whole.index("--niceness") + 1] == "7"
    assert whole[whole.index("--parent") + 1] == str(os.getpid())
    assert whole[whole.index("--") + 1 :] == [sys.executable, "-m", "training", "wait"]


def test_file_is_inspected_by_the_command_that_people_use() -> None:
    command = inspection_command(Path("table.csv"), Dialect(delimiter=";", header=False))

    assert command[1:6] == ["-m", "training", "inspect", "table.csv", "--json"]
    assert (command[6], json.loads(command[7])) == ("--dialect", {"delimiter": ";", "header": False})
    assert "--dialect" not in inspection_command(Path("table.csv"), Dialect())
