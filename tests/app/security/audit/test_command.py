"""The command that verifies audit files."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.security.audit.chain import START
from app.security.audit.command import UNREADABLE, main
from tests.app.security.audit.files import written


def test_command_says_how_many_records_there_are_and_what_is_torn(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(path, 1, 2).close()
    with path.open("ab") as file:
        file.write(b'{"seq')

    assert main(["verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 records, all as they were written; the last is ")
    assert "5 bytes at the end" in said
    assert main(["verify", "--after", START, str(path)]) == 0
    assert main(["verify", str(path.parent / "none")]) == UNREADABLE
    assert capsys.readouterr().err.startswith("tabserve: ")
