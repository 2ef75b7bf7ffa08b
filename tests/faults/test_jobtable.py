"""F-11: a job table that is missing, corrupt, too new or read-only: predictions go on."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess

import httpx
import pytest

from tests.app.waiting import until
from tests.faults.scenes import Scene, asking, mounted, start
from tests.processes import service
from tests.promises import Measured
from tests.trainings import ended

pytestmark = pytest.mark.slow

TABLE = "jobs.sqlite3"


@pytest.fixture
def used(scene: Scene) -> Scene:
    """Return a scene whose job table holds a training that ended."""
    scene.training("end('failed', 'enough')")
    with scene.service() as (client, _):
        ended(client, start(client))
    return scene


def assert_serves_only(scene: Scene, client: httpx.Client) -> str:
    """Check that predictions go on and other requests are answered 503; return the log."""
    assert client.get("/readyz").status_code == 200
    with asking(client) as asker:
        answers = [client.post("/train", json={"model": "iris"}), client.get("/train")]
        until(lambda: len(asker.took_s) >= 20, "predictions")
        answers.append(client.post("/train", json={"model": "iris"}))
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
        # the audit file is in the same folder, and no action begins without it
        assert re.fullmatch("urn:tabserve:problem:(store|audit)-unavailable", answer.json()["type"])
        assert str(scene.folder) not in answer.text
    return (scene.folder / "service.log").read_text()


def test_missing_table_is_made(scene: Scene, measured: Measured) -> None:
    scene.training("end('failed', 'enough')")
    with scene.service() as (client, _):
        assert ended(client, start(client))["reason"] == "failed"
    assert (scene.folder / "state" / TABLE).exists()
    measured("F-11", "missing: made anew")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_corrupt_table_is_kept_aside_and_trainings_wait_for_a_decision(
    used: Scene, measured: Measured, workers: str
) -> None:
    state = used.folder / "state"
    damaged = b"SQLite format 3\x00" + b"no pages" * 1000
    (state / TABLE).write_bytes(damaged)
    for again in (False, True):
        with used.service(environment={"TABSERVE_WORKERS": workers}) as (client, _):
            log = assert_serves_only(used, client)
            if again:
                (state / f"{TABLE}.corrupt-1").rename(used.folder / "looked at")
                until(lambda: client.get("/train").status_code == 200, "an empty table")
    assert f"{TABLE}.corrupt-1" in log
    assert (used.folder / "looked at").read_bytes() == damaged
    measured("F-11", "corrupt: kept aside, predictions go on, /train 503 until it is replaced or taken away")


def test_table_from_the_future_is_left_alone(used: Scene, measured: Measured) -> None:
    with contextlib.closing(sqlite3.connect(used.folder / "state" / TABLE)) as table:
        table.execute("UPDATE alembic_version SET version_num = '9999'")
        table.commit()
    with used.service() as (client, _):
        assert "revision 9999" in assert_serves_only(used, client)
    with contextlib.closing(sqlite3.connect(used.folder / "state" / TABLE)) as table:
        assert table.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
        assert table.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    measured("F-11", "of a newer program: left alone, predictions go on, /train 503")


def test_folder_in_the_place_of_the_table_is_left_alone(used: Scene, measured: Measured) -> None:
    shutil.rmtree(used.folder / "state")
    (used.folder / "state" / TABLE).mkdir(parents=True)
    with used.service() as (client, _):
        assert_serves_only(used, client)
        (used.folder / "state" / TABLE).rmdir()
        until(lambda: client.get("/train").status_code == 200, "an empty table")
    measured("F-11", "a folder in its place: predictions go on, /train 503 until it is gone")


def test_table_that_cannot_be_written_is_used_again_when_it_can(used: Scene, measured: Measured) -> None:
    state = used.folder / "state"
    with contextlib.ExitStack() as mounts:
        mounts.enter_context(mounted(state, "--bind", str(state)))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(state)], check=True)
        with used.service() as (client, _):
            assert_serves_only(used, client)
            mounts.close()
            until(lambda: len(client.get("/train").json().get("jobs", [])) == 1, "the table as it was")
    measured("F-11", "read-only: predictions go on, /train 503 until it can be written")


def test_table_that_may_not_be_read_is_used_when_it_may(used: Scene, measured: Measured) -> None:
    """The folder gets another owner, and the service, if it is root, must not bypass its permissions."""
    if os.geteuid():
        pytest.skip("only root may give a folder away")
    state = used.folder / "state"
    state.chmod(0o700)
    os.chown(state, 65534, -1)
    with service(used.folder, cwd=used.cwd, prefix=("setpriv", "--bounding-set=-dac_override,-dac_read_search")) as (
        client,
        _,
    ):
        assert_serves_only(used, client)
        os.chown(state, 0, -1)
        until(lambda: len(client.get("/train").json().get("jobs", [])) == 1, "the table as it was")
    measured("F-11", "no permission: predictions go on, /train 503 until there is")
