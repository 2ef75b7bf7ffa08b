"""The job table as owners see it: each job is claimed once; only its claim holder writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.jobs import claims as claiming
from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.ownership import Asked, Claim, ClaimLost, Report
from app.jobs.records import JobStatus
from app.jobs.store import JobStore
from modelstore import JobResult, from_line
from tests.app.databases import add, add_search, claimed, failure


def test_oldest_job_is_claimed_first(store: JobStore, claims: Claims) -> None:
    for model in ("c", "a", "b"):
        add(store, model)

    first = claimed(claims)

    assert (first.job.model, first.job.status, first.job.queue_position) == ("c", JobStatus.RUNNING, None)
    assert first.job.started is not None
    assert [claimed(claims).job.model for _ in range(2)] == ["a", "b"]
    assert claims.claim(100) is None


def test_as_many_run_as_may_counted_over_all_processes(store: JobStore, claims: Claims, database: Database) -> None:
    other = Claims(database, "another")
    for model in ("a", "b", "c"):
        add(store, model)

    assert claims.claim(0) is None
    first, second = claimed(claims, 2), claimed(other, 2)
    assert claims.claim(2) is None
    assert other.claim(2) is None
    claims.finish(first, failure("a"))
    assert claimed(other, 2).job.model == "c"
    assert second.job.model == "b"


def test_each_job_is_claimed_once_by_however_many_at_once(store: JobStore, database: Database) -> None:
    models = [f"m{number}" for number in range(12)]
    for model in models:
        add(store, model)
    owners = [Claims(database, f"owner {number}") for number in range(8)]

    def take(owner: Claims) -> list[str]:
        return [claim.job.model for claim in iter(lambda: owner.claim(9), None)]

    with ThreadPoolExecutor(8) as pool:
        taken = [model for models in pool.map(take, owners) for model in models]

    assert sorted(taken) == sorted(models[:9])


def test_what_is_reported_is_kept_in_order(store: JobStore, claims: Claims) -> None:
    number = add(store).number
    claim = claimed(claims)
    before = claims.find_unfinished().running[0].heartbeat

    claims.report(claim, Report(("one", "two"), {"progress": {"epoch": 1}, "log": ["first"], "version_before": 3}))
    claims.report(claim, Report(("three",), {"progress": {"epoch": 2}}, alive=True))

    job = store.get(claim.job.id)
    assert (job.progress, job.log, job.version_before) == ({"epoch": 2}, ("first",), 3)
    assert store.events(number, 0) == ([(1, "one"), (2, "two"), (3, "three")], False)
    assert store.events(number, 1, limit=1) == ([(2, "two")], False)
    assert claims.find_unfinished().running[0].heartbeat == before + 1


@pytest.mark.parametrize("report", [Report(), Report(alive=True)], ids=["looks", "writes"])
def test_owner_learns_that_the_end_was_asked_for(store: JobStore, claims: Claims, report: Report) -> None:
    add(store)
    claim = claimed(claims)

    assert claims.report(claim, report) == Asked(cancel=False, finish=False)
    store.cancel(claim.job.id, keep=True)
    assert claims.report(claim, report) == Asked(cancel=False, finish=True)
    store.cancel(claim.job.id)
    assert claims.report(claim, report) == Asked(cancel=True, finish=True)


WRITES: dict[str, Callable[[Claims, Claim], object]] = {
    "look": lambda claims, claim: claims.report(claim, Report()),
    "report": lambda claims, claim: claims.report(claim, Report(("late",), {"progress": {"epoch": 9}}, alive=True)),
    "finish": lambda claims, claim: claims.finish(claim, failure(), Report(("late",))),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_who_lost_the_claim_changes_nothing(
    store: JobStore, claims: Claims, database: Database, write: Callable[[Claims, Claim], object]
) -> None:
    add(store)
    claim = claimed(claims)
    heir = Claims(database, "heir").take_over(claims.find_unfinished().running[0])
    assert heir is not None
    before = store.get(claim.job.id)

    with pytest.raises(ClaimLost):
        write(claims, claim)

    assert store.get(claim.job.id) == before
    assert store.events(claim.job.number, 0)[0] == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_job_ends_once_and_its_last_event_is_the_result(
    store: JobStore, claims: Claims, write: Callable[[Claims, Claim], object]
) -> None:
    add(store)
    claim = claimed(claims)
    result = JobResult(reason="succeeded", detail="version 1 is active", model="iris", version=1, activated=True)
    claims.finish(claim, result, Report(("epoch",), {"progress": {"epoch": 9}, "log": ["bye"]}))
    ended = store.get(claim.job.id)

    with pytest.raises(ClaimLost):
        write(claims, claim)

    assert store.get(claim.job.id) == ended
    assert (ended.status, ended.reason, ended.detail) == (JobStatus.SUCCEEDED, "succeeded", "version 1 is active")
    assert (ended.progress, ended.log, ended.ended) == ({"epoch": 9}, ("bye",), True)
    assert ended.result is not None
    assert (ended.result["version"], ended.result["activated"]) == (1, True)
    ((_, first), (last, line)), nothing_more = store.events(claim.job.number, 0)
    assert nothing_more
    assert (first, last, from_line(line)) == ("epoch", 2, result)


def test_only_who_shows_no_sign_of_life_is_taken_over_and_only_once(
    store: JobStore, claims: Claims, database: Database
) -> None:
    add(store)
    claim = claimed(claims)
    seen = claims.find_unfinished().running[0]
    heirs = [Claims(database, "heir"), Claims(database, "another heir")]

    claims.report(claim, Report(alive=True))
    assert heirs[0].take_over(seen) is None
    seen = claims.find_unfinished().running[0]
    taken = [heir.take_over(seen) for heir in heirs]

    assert taken[0] is not None
    assert taken[1] is None
    heirs[0].finish(taken[0], failure())
    assert heirs[1].take_over(claims.find_unfinished().running[0] if claims.find_unfinished().running else seen) is None


def test_old_jobs_are_removed_and_of_older_ones_only_the_result_stays(
    store: JobStore, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "KEEP_EVENTS_OF", 2)
    for _ in range(5):
        add(store)
        claim = claimed(claims)
        claims.finish(claim, failure(), Report(("epoch", "epoch")))
    add(store, "waiting")
    running = claimed(claims)
    claims.report(running, Report(("epoch",)))

    claims.retain(4)

    jobs, _ = store.page()
    assert [job.number for job in jobs] == [6, 5, 4, 3, 2]
    assert [[seq for seq, _ in store.events(job.number, 0)[0]] for job in jobs] == [[1], [1, 2, 3], [1, 2, 3], [3], [3]]
    assert store.events(1, 0) == ([], True)


def test_search_job_is_claimed_while_its_training_runs_and_no_training_may_begin(
    store: JobStore, claims: Claims
) -> None:
    training, (first, _) = add_search(store, 3, "churn")
    add(store, "blobs")

    assert claimed(claims).job.id == training.id
    assert claimed(claims).job.model == "blobs"
    assert claims.claim(100, searches=False) is None
    add(store, "clouds")
    found = claims.claim(2)  # as many trainings run as may, and a search job takes no place of theirs
    assert found is not None
    assert found.job.id == first.id
    unfinished = claims.find_unfinished()
    assert (unfinished.queued, unfinished.queued_searches) == (1, 1)
    assert {job.number: job.search_of for job in unfinished.running} == {1: None, 2: training.id, 4: None}


@pytest.mark.parametrize("keep", [False, True])
def test_search_job_of_a_training_that_is_to_end_is_not_claimed(store: JobStore, claims: Claims, keep: bool) -> None:
    training, _ = add_search(store)
    claimed(claims)

    store.cancel(training.id, keep=keep)

    assert claims.claim(100) is None


def test_search_jobs_do_not_push_trainings_out_of_the_table(store: JobStore, claims: Claims) -> None:
    trainings = []
    for _ in range(3):
        trainings.append(add_search(store, 4)[0].id)
        claims.finish(claimed(claims), failure())

    claims.retain(2)

    kept, _ = store.page()
    assert [job.id for job in kept if job.search_of is None] == trainings[:0:-1]
    assert [job.search_of for job in kept if job.search_of] == [trainings[2]] * 3 + [trainings[1]] * 3
