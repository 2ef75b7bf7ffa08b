"""How a training ended: what it said, what its process left, or what the store has."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from app.jobs.outcome import find_published, may_write, outcome
from app.jobs.process.child import Child
from modelstore import JobResult, ModelRepository
from tests.app.databases import failure, job
from tests.fakes import publish


def ended(source: str, said: JobResult | None = None) -> JobResult:
    """Return the result of a training whose process runs this source."""

    async def run() -> JobResult:
        child = await Child.start([sys.executable, "-c", source], dict(os.environ), lambda _: None)
        await child.listen(lambda _: None)
        await child.end(120)
        return outcome(job(), child, said, 1 << 30)

    return asyncio.run(run())


def test_result_that_was_said_is_the_result() -> None:
    assert ended("raise SystemExit(3)", failure()) == failure()


@pytest.mark.parametrize(
    ("source", "reason", "detail"),
    [
        ("raise SystemExit(3)", "failed", "the training process ended with exit code 3 before it said how it went"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "the training process ended with signal SIGKILL before"),
        ("raise MemoryError", "out_of_memory", "it needed more than the 1024 MiB of memory that it may use"),
    ],
    ids=["exit code", "signal", "memory"],
)
def test_process_that_said_nothing_has_failed_with_what_it_left(source: str, reason: str, detail: str) -> None:
    result = ended(source)

    assert (result.reason, result.model) == (reason, "iris")
    assert result.detail.startswith(detail)


def test_version_of_the_job_is_found_and_those_of_others_are_not(repository: ModelRepository) -> None:
    for owner in ("j0", "j1", "j2"):
        publish(repository, job=owner, activate=False)

    found = find_published(repository, job("j1", model="means"))

    assert found is not None
    assert (found.reason, found.version, found.activated) == ("succeeded", 2, False)
    assert find_published(repository, job("j3", model="means")) is None
    assert find_published(repository, job("j1", model="means", version_before=2)) is None


def test_broken_version_hides_none_below_it(repository: ModelRepository) -> None:
    publish(repository, job="j1")
    publish(repository, job="j2")
    (repository.find("means", 2).path / "manifest.json").write_bytes(b"{}")

    found = find_published(repository, job("j1", model="means"))

    assert found is not None
    assert found.version == 1


def test_store_that_does_not_exist_yet_may_be_written_where_its_parent_may(tmp_path: Path) -> None:
    assert may_write(ModelRepository(tmp_path / "not" / "yet"), "iris")
    (tmp_path / "file").touch()  # which not even root may write as a folder
    assert not may_write(ModelRepository(tmp_path / "file"), "iris")
