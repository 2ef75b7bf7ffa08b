"""Jobs whose owner is gone: who is taken for dead, when, and how such a job ends."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.jobs import database as databases
from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.ownership import Claim, ClaimLost, Report
from app.jobs.process.identity import this_process
from app.jobs.records import JobStatus, TrainingJob
from app.jobs.recovery import Recovery
from app.jobs.store import JobStore
from modelstore import JobResult, ModelRepository, NotPermitted, Permit
from tests.app.clock import Clock
from tests.app.databases import add, add_search, claimed, opened
from tests.fakes import publish

LEASE_S = 15.0
ELSEWHERE = "another-machine:7:42:1000"


@pytest.fixture
def dead(tmp_path: Path) -> str:
    """Return the name of a process of this machine that has ended."""
    tells = "from app.jobs.process.identity import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", tells], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Scene:
    """A running job of some owner, and a process that looks at it."""

    def __init__(self, database: Database, repository: ModelRepository, owner: str) -> None:
        self.database, self.store = database, JobStore(database)
        self.clock = Clock()
        self.owner = Claims(database, owner)
        self.claims = Claims(database, this_process())
        self.recovery = Recovery(self.claims, repository, LEASE_S, self.clock)
        add(self.store, "means")
        self.claim: Claim = claimed(self.owner)

    def look(self, after_s: float = 0) -> list[JobResult]:
        self.clock.now += after_s
        return self.recovery.look(self.claims.find_unfinished().running)

    @property
    def job(self) -> TrainingJob:
        return self.store.get(self.claim.job.id)


@pytest.fixture
def scene(database: Database, repository: ModelRepository) -> Callable[[str], Scene]:
    return lambda owner: Scene(database, repository, owner)


def test_job_of_a_process_that_has_ended_is_interrupted_at_the_first_look(
    scene: Callable[[str], Scene], dead: str
) -> None:
    here = scene(dead)

    (result,) = here.look()

    assert (here.job.status, here.job.reason, result.reason) == (JobStatus.INTERRUPTED, "interrupted", "interrupted")
    assert here.job.finished is not None
    assert here.look() == []


@pytest.mark.parametrize("owner", [ELSEWHERE, "nonsense", this_process()], ids=["elsewhere", "nonsense", "alive"])
def test_job_of_who_may_live_is_interrupted_after_a_lease_of_silence(scene: Callable[[str], Scene], owner: str) -> None:
    here = scene(owner)

    assert here.look() == []
    assert here.look(10.1) == []
    assert here.look(4.8) == []
    assert here.job.status == JobStatus.RUNNING
    assert len(here.look(0.3)) == 1
    assert here.job.reason == "interrupted"


def test_owner_that_gives_signs_of_life_keeps_its_job(scene: Callable[[str], Scene]) -> None:
    here = scene(ELSEWHERE)

    for _ in range(20):
        here.owner.report(here.claim, Report(alive=True))
        assert here.look(LEASE_S * 0.9) == []
    assert here.job.status == JobStatus.RUNNING


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, Database]]:
    """Return a SQLite database twice: whoever writes through the second one holds up the first."""
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 20)
    pair = opened(None, tmp_path / "state"), opened(None, tmp_path / "state")
    yield pair
    for database in pair:
        database.close()


def test_owner_that_the_database_holds_up_is_not_taken_for_dead(
    locked: tuple[Database, Database], repository: ModelRepository
) -> None:
    database, other = locked
    here = Scene(database, repository, ELSEWHERE)
    with other.writing():
        for _ in range(4):
            assert here.look(LEASE_S) == []

    assert here.look() == []
    here.owner.report(here.claim, Report(alive=True))
    assert here.look(4.9) == []
    assert here.look(5.2) == []
    assert here.job.status == JobStatus.RUNNING


def test_job_taken_over_just_before_the_table_is_locked_ends_at_the_first_look_after_it(
    locked: tuple[Database, Database], tmp_path: Path, dead: str
) -> None:
    """F-10: its new owner lives, and would have been waited for as long as a lease lasts."""
    database, other = locked
    locks, lock = [other.writing()], contextlib.ExitStack()

    class LocksTheTable(ModelRepository):
        """Lets another process lock the table where that hurts most: between taking over and writing the end."""

        def revoke(self, name: str, job: str) -> None:
            super().revoke(name, job)
            while locks:
                lock.enter_context(locks.pop())

    here = Scene(database, LocksTheTable(tmp_path / "models"), dead)
    assert here.look() == []
    assert here.look() == []
    assert here.job.status == JobStatus.RUNNING
    lock.close()

    (result,) = here.look()

    assert (here.job.status, result.reason) == (JobStatus.INTERRUPTED, "interrupted")
    assert here.look() == []


def test_permit_is_taken_back_before_the_end_is_written(
    scene: Callable[[str], Scene], repository: ModelRepository
) -> None:
    here = scene(ELSEWHERE)
    permit = Permit(here.claim.job.id, repository.permit("means", here.claim.job.id))
    here.look()
    here.look(10.5)
    here.look(5)

    with pytest.raises(NotPermitted):
        publish(repository, permit=permit)
    with pytest.raises(ClaimLost):
        here.owner.report(here.claim, Report(alive=True))
    assert repository.versions("means") == ()


def test_job_that_published_before_its_owner_died_has_succeeded(
    scene: Callable[[str], Scene], repository: ModelRepository, dead: str
) -> None:
    publish(repository)
    here = scene(dead)
    version = publish(repository, job=here.claim.job.id)
    publish(repository, activate=False)

    (result,) = here.look()

    assert (here.job.status, result.version, result.activated) == (JobStatus.SUCCEEDED, version, True)
    assert here.job.result is not None
    assert here.job.result["metrics"]["test"]["accuracy"] == 1


def test_version_of_another_job_is_not_taken_for_its_own(
    scene: Callable[[str], Scene], repository: ModelRepository, dead: str
) -> None:
    here = scene(dead)
    publish(repository, job="another")

    here.look()

    assert here.job.status == JobStatus.INTERRUPTED


def test_of_two_who_look_one_ends_the_job(
    scene: Callable[[str], Scene], database: Database, repository: ModelRepository, dead: str
) -> None:
    here = scene(dead)
    other = Recovery(Claims(database, "another"), repository, LEASE_S)
    running = here.claims.find_unfinished().running

    results = here.recovery.look(running) + other.look(running)

    assert len(results) == 1
    assert len(here.store.events(here.claim.job.number, 0)[0]) == 1


@pytest.mark.parametrize(("provably", "ends"), [(True, True), (False, False)], ids=["dead", "silent"])
def test_without_a_store_to_write_only_the_job_of_the_provably_dead_ends(
    database: Database, tmp_path: Path, dead: str, provably: bool, ends: bool
) -> None:
    (tmp_path / "file").touch()  # below it no permit can be taken back
    here = Scene(database, ModelRepository(tmp_path / "file" / "models"), dead if provably else ELSEWHERE)
    for wait_s in (0, 10.5, 5):
        here.look(wait_s)

    assert (here.job.status == JobStatus.INTERRUPTED) is ends


def test_heir_that_dies_as_well_is_inherited_from(scene: Callable[[str], Scene], database: Database, dead: str) -> None:
    here = scene(ELSEWHERE)
    seen = here.claims.find_unfinished().running[0]
    assert Claims(database, dead).take_over(replace(seen)) is not None

    assert len(here.look()) == 1
    assert here.job.status == JobStatus.INTERRUPTED


def test_search_job_of_a_dead_process_ends_alone_and_is_no_training_that_ended(
    scene: Callable[[str], Scene], dead: str
) -> None:
    here = scene(this_process())
    training, (search,) = add_search(here.store, 2)
    claimed(here.owner)
    claimed(Claims(here.database, dead))

    assert here.look() == []

    assert here.store.get(search.id).status == JobStatus.INTERRUPTED
    assert here.store.get(training.id).status == JobStatus.RUNNING
