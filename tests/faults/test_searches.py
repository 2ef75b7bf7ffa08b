"""Trainers on one job table share a search; one of them is killed while it tries settings."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelstore.search import Search
from tests import postgres
from tests.app.waiting import until
from tests.faults.scenes import Scene, children_of, start
from tests.trainings import DEADLINE_S, ended

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# Trials are so slow that those that are left when the process of the second trainer begins are enough for both.
WANTED = 6
ITS: dict[str, Any] = {
    "activate": "never",
    "workers": 2,
    "overrides": {"search": WANTED, "epochs": 15, "batch_size": 16},
}
TRIED = re.compile(r"search: \d+ of \d+, log_loss")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the setting that names the job table: a file, or a database of PostgreSQL."""
    if request.param == "sqlite":
        yield {}
        return
    if not postgres.available():
        pytest.skip(f"no PostgreSQL 15 in {postgres.PROGRAMS}")
    with postgres.cluster() as url:
        yield {"TABSERVE_DATABASE_URL": url}


def trainer(scene: Scene, shared: dict[str, str]) -> contextlib.AbstractContextManager[Any]:
    return scene.service(real_training=True, environment=shared)


def search_job(client: httpx.Client, training: str) -> str:
    """Return the id of the search job of a training."""
    (job,) = (job for job in client.get("/train").json()["jobs"] if job["search_of"] == training)
    return str(job["id"])


def count_tried(client: httpx.Client, job: str) -> int:
    """Return how many settings a job has tried when it has ended, as its events tell."""
    return len(TRIED.findall(client.get(f"/train/{job}/events").text))


def search_of(scene: Scene) -> Search:
    found = scene.repository.find("iris", 1).manifest().search
    assert found
    return found


def require_complete(search: Search) -> None:
    """Check that each of the settings was tried once, and that the best are no worse than those of the recipe."""
    assert len({str(trial.settings) for trial in search.trials}) == len(search.trials) == search.wanted
    best, default = search.trials[search.best].loss, search.trials[0].loss
    assert best is not None
    assert default is not None
    assert best <= default


def test_two_trainers_share_a_search_and_try_nothing_twice(scene: Scene, shared: dict[str, str]) -> None:
    with trainer(scene, shared) as (here, _), trainer(scene, shared) as (there, _):
        training = start(here, **ITS)
        jobs = [ended(there, job) for job in (training, search_job(here, training))]

        assert [(job["status"], job["version"]) for job in jobs] == [("succeeded", 1), ("succeeded", None)]
        counts = [count_tried(here, job["id"]) for job in jobs]
        assert min(counts) > 0
        assert sum(counts) == WANTED
    require_complete(search_of(scene))


def test_settings_of_a_killed_trainer_are_tried_by_the_training(scene: Scene) -> None:
    with trainer(scene, {}) as (here, first), trainer(scene, {}) as (there, second):
        training = start(here, **ITS)
        search = search_job(here, training)
        asking = until(lambda: only_searching(first.pid, second.pid), "the search job")
        searching = until(lambda: forked_for(asking), "its process")
        until(lambda: both_try(scene, searching), "both to try settings", DEADLINE_S)
        killed, client = (first, there) if asking in children_of(first.pid) else (second, here)
        killed.kill()
        os.kill(searching, signal.SIGKILL)  # it was stopped while it tried
        killed.wait()

        assert ended(client, search)["reason"] == "interrupted"
        assert ended(client, training)["status"] == "succeeded"
    assert count_trials(scene, "FAIL") == 1
    require_complete(search_of(scene))


def only_searching(*services: int) -> int | None:
    """Return the program that has the process of a search job forked, if one of the services runs it."""
    for process in set[int]().union(*map(children_of, services)):
        with contextlib.suppress(OSError):
            if b"\0--only-search\0" in Path(f"/proc/{process}/cmdline").read_bytes():
                return process
    return None


def forked_for(program: int) -> int | None:
    """Return the process that was forked for a program: its output goes where that of the program would."""
    output = Path(f"/proc/{program}/fd/1").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.name != str(program) and (process / "fd" / "1").readlink() == output:
                return int(process.name)
    return None


def both_try(scene: Scene, searching: int) -> bool:
    """Stop the process of a search job; let it go on if it, or the training, tries nothing at this moment."""
    os.kill(searching, signal.SIGSTOP)
    with contextlib.suppress(sqlite3.OperationalError):  # it has locked the study, or not made its tables yet
        if count_trials(scene, "RUNNING") == 2:
            return True
    os.kill(searching, signal.SIGCONT)
    return False


def count_trials(scene: Scene, state: str) -> int:
    """Return how many trials of the study have a state, without those that were given back untried."""
    query = (
        "SELECT count(*) FROM trials WHERE state = ? "
        "AND trial_id NOT IN (SELECT trial_id FROM trial_user_attributes WHERE key = 'given_back')"
    )
    with contextlib.closing(sqlite3.connect(scene.folder / "models" / "searches.sqlite")) as study:
        return int(study.execute(query, (state,)).fetchone()[0])
