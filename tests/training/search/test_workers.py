from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.runners import alive, noted
from tests.app.waiting import until
from training.search.workers import run_workers

NOTES = """
import os, pathlib, signal, sys
pathlib.Path("arguments").write_text(" ".join(sys.argv[1:]))
pathlib.Path("pid").write_text(str(os.getpid()))
signal.pause()
"""


@pytest.mark.parametrize("ignores", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"], ids=["obeys", "ignores"])
def test_process_only_searches_and_ends_with_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignores: str
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").touch()
    (tmp_path / "training" / "__main__.py").write_text(NOTES.replace("signal.pause", f"{ignores}\nsignal.pause"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.search.workers.END_S", 0.2)

    with run_workers(1, ["fit", "iris", "--search", "4", "--workers", "2"]):
        pid = noted()
        assert alive(pid)

    until(lambda: not alive(pid), "the end of the process")
    assert Path("arguments").read_text() == "fit iris --search 4 --workers 2 --only-search --workers 1"


def test_search_without_further_processes_starts_none() -> None:
    with run_workers(0, ["fit"]):
        pass
