"""The job table is imported, made and opened when it is needed, not when the service starts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.settings import Settings
from tests.app.runners import trainings, write_training
from tests.app.waiting import until
from tests.processes import PROJECT

START = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from app.settings import Settings
from app.main import create_app

folder = Path(sys.argv[1])
folders = {f"{name}_dir": folder / name for name in ("models", "state", "datasets")}
with TestClient(create_app(Settings(device="cpu", **folders))) as client:
    for path in ("/livez", "/metrics", "/train"):
        status = client.get(path).status_code
        imported = "sqlalchemy" in sys.modules
        print(json.dumps([status, imported, (folder / "state" / "jobs.sqlite3").exists()]))
"""


@pytest.mark.slow
def test_a_service_that_nobody_asks_about_trainings_imports_no_database(tmp_path: Path) -> None:
    """Its library took half a second of every start."""
    command = [sys.executable, "-c", START, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [200, False, False],
        [200, False, False],
        [200, True, True],
    ]


@pytest.mark.slow
def test_a_table_that_another_process_makes_is_worked_on_although_nobody_asks_here(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write_training(tmp_path / "cwd", "end('failed', 'enough')")
    with trainings(settings) as here, trainings(settings.model_copy(update={"train_concurrency": 0})) as there:
        assert until(lambda: here.runner.count_unfinished() or None, "a look") == {
            "queued": 0,
            "running": 0,
            "searching": 0,
        }
        assert not (settings.state_dir / "jobs.sqlite3").exists()
        job = there.start()

        assert there.ended(job).reason == "failed"
    assert here.reasons == ["failed"]


def test_folder_that_cannot_be_searched_is_told_at_once_to_all_who_ask(settings: Settings, tmp_path: Path) -> None:
    """The system refuses the name as it refuses a folder without permission; the requests waited for ever."""
    beyond = settings.model_copy(update={"state_dir": tmp_path / ("x" * 300)})
    with trainings(beyond) as here:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="cannot be used now"):
                here.call(lambda: asyncio.wait_for(here.runner.list(), 120))
