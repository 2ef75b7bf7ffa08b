"""The command that creates, lists and revokes keys."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.security import keys_command
from app.security.keys import FORM, KeyFile


def test_command_creates_lists_and_revokes(file: KeyFile, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--file", str(file.path))
    assert (
        keys_command.main(["create", "--scopes", "predict, metrics", "--expires", "90d", "--note", "shop", *where]) == 0
    )
    created = capsys.readouterr()
    identity = created.out.split("_")[1]
    keys_command.main(["create", "--scopes", "admin", *where])
    other = capsys.readouterr().out.split("_")[1]

    assert FORM.fullmatch(created.out.strip().encode())
    assert "not shown again" in created.err
    left = file.read()[0].expires
    assert left is not None
    assert timedelta(days=89) < left - datetime.now(UTC) <= timedelta(days=90)
    assert keys_command.main(["list", *where]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == [identity, "predict,metrics"]
    assert first.endswith("shop")
    assert "until never" in second
    assert keys_command.main(["revoke", other, *where]) == 0
    assert keys_command.main(["revoke", other, *where]) == keys_command.NOT_FOUND
    assert other in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "--scopes", "root"],
        ["create", "--scopes", "predict", "--expires", "soon"],
        ["create", "--scopes", "predict", "--expires", "0d"],
        ["create", "--scopes", "predict", "--note", "a\nb"],
        ["list", "--verbose"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_command_is_refused_and_writes_nothing(arguments: list[str], file: KeyFile) -> None:
    where = ["--file", str(file.path)] if arguments else []
    with pytest.raises(SystemExit):
        keys_command.main([*arguments, *where])

    assert not file.path.exists()


def test_command_tells_in_one_line_what_is_wrong_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys_command.main(["list", "--file", str(tmp_path / "none" / "keys.json")]) == keys_command.BAD_SETTINGS

    line = capsys.readouterr().err
    assert line.startswith("tabserve: TABSERVE_KEYS_FILE=")
    assert line.count("\n") == 1


@pytest.mark.slow
def test_program_takes_the_file_from_the_environment_and_imports_no_torch(file: KeyFile) -> None:
    environment = {**os.environ, "TABSERVE_KEYS_FILE": str(file.path), "PYTHONPROFILEIMPORTTIME": "1"}

    ended = subprocess.run(
        [sys.executable, "-m", "app", "keys", "create", "--scopes", "predict"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert FORM.fullmatch(ended.stdout.strip().encode())
    assert len(file.read()) == 1
    assert "app.security.keys_command" in ended.stderr
    assert "torch" not in ended.stderr
