"""The job runner: how trainings are claimed, followed, ended and told about, with real processes and real tables."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.context import CONTEXT, RequestContext
from app.errors import StoreUnavailable
from app.jobs import database as databases
from app.jobs import runner as runners
from app.jobs import threads, worker
from app.jobs.claims import Claims
from app.jobs.database import DATABASE_FILE
from app.jobs.errors import JobConflict, JobEnded
from app.jobs.process import child as children
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.runner import LOOK_INTERVAL_S
from app.jobs.store import JobStore
from app.settings import Settings
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository, Overrides
from tests.app.databases import LIMIT, opened
from tests.app.runners import Trainings, alive, noted, trainings, write_training
from tests.app.waiting import until


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes `python -m training` say one epoch, and then run the given lines."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return lambda source: write_training(tmp_path / "cwd", source)


@pytest.fixture
def here(settings: Settings) -> Iterator[Trainings]:
    with trainings(settings) as here:
        yield here


@pytest.fixture
def there(settings: Settings, here: Trainings) -> Iterator[Trainings]:
    """Return a second runner on the same table, which claims nothing itself."""
    with trainings(settings.model_copy(update={"train_concurrency": 0})) as there:
        yield there


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a runner look for work once when it starts, and then only if it is woken."""
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 3600.0)


@pytest.mark.usefixtures("seldom")
def test_training_begins_at_once_and_its_epochs_are_told_before_it_ends(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    job = here.start()

    until(lambda: here.get(job).progress, "the first epoch")

    assert here.get(job).status == JobStatus.RUNNING


def test_events_are_numbered_and_end_with_the_result(here: Trainings, child: Callable[[str], None]) -> None:
    child("for n in range(2, 9): epoch(n)\nsay(event='notice', message='nearly'); end('failed', 'enough')")
    job = here.start()

    lines = here.lines(job)

    assert [number for number, _ in lines] == list(range(1, 11))
    events = [json.loads(line) for _, line in lines]
    assert [event.get("epoch") for event in events[:8]] == list(range(1, 9))
    assert [event["event"] for event in events[8:]] == ["notice", "result"]
    assert here.lines(job, after=8) == lines[8:]
    assert here.lines(job, after=10) == []


def test_events_come_while_the_training_runs_also_in_another_process(
    here: Trainings, there: Trainings, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    job = here.start()

    async def first() -> tuple[int, str]:
        return await anext(there.runner.events(job.id))

    number, line = there.call(first)

    assert (number, json.loads(line)["epoch"]) == (1, 1)


def test_f12_follower_who_is_beyond_the_end_waits_while_the_job_runs_and_is_let_go_at_its_end(
    here: Trainings, there: Trainings, child: Callable[[str], None]
) -> None:
    """F12: `Last-Event-ID: 99` of a training with two events."""
    child("signal.pause()")
    job = here.start()
    until(lambda: here.get(job).progress, "the first epoch")

    async def follow() -> list[tuple[int, str]]:
        task = asyncio.create_task(collect())
        assert await asyncio.wait((task,), timeout=3 * LOOK_INTERVAL_S) == (set(), {task})
        await there.runner.cancel(job.id)
        return await asyncio.wait_for(task, 20)

    async def collect() -> list[tuple[int, str]]:
        return [event async for event in there.runner.events(job.id, 99)]

    assert there.call(follow) == []
    assert [json.loads(line)["event"] for _, line in here.lines(job)] == ["epoch", "result"]


def test_second_training_of_the_model_names_the_first(here: Trainings, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    job = here.start()

    with pytest.raises(JobConflict) as conflict:
        here.start()
    assert conflict.value.job_id == job.id


IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
STUBBORN = {
    "polite": "",
    "ignores SIGTERM": IGNORES,
    "in the middle of C code": f"{IGNORES}sum(range(10 ** 12))\n",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)\n",
}
QUICK = (("polite", "here"), ("in the middle of C code", "there"))
GRANDCHILD = """
helper = subprocess.Popen([sys.executable, "-c", "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN); s.pause()"])
pathlib.Path("helper").write_text(str(helper.pid))
"""


CANCELS = [
    pytest.param(source, asks, id=f"{kind}, asked {asks}", marks=[] if (kind, asks) in QUICK else pytest.mark.slow)
    for kind, source in STUBBORN.items()
    for asks in ("here", "there")
]


@pytest.mark.slow
@pytest.mark.parametrize(("source", "asks"), CANCELS)
def test_cancelled_training_and_all_that_it_started_are_gone_within_two_seconds(
    here: Trainings, there: Trainings, child: Callable[[str], None], source: str, asks: str
) -> None:
    child(f"{GRANDCHILD}{source}signal.pause()")
    job = here.start()
    pids = noted(), noted("helper")
    asker = here if asks == "here" else there

    asked = asker.call(asker.runner.cancel, job.id)
    until(lambda: not any(map(alive, pids)), "the end of both processes", 2.0)

    assert asked.cancel_requested
    ended = asker.ended(job)
    assert (ended.status, ended.reason, ended.detail) == (JobStatus.CANCELLED, "cancelled", "cancelled while it ran")
    with pytest.raises(JobEnded):
        here.call(here.runner.cancel, job.id)
    assert here.reasons == ["cancelled"]


@pytest.mark.slow
def test_training_that_published_before_it_was_cancelled_has_succeeded(
    here: Trainings, child: Callable[[str], None], repository: ModelRepository
) -> None:
    child(f"publish()\n{IGNORES}pathlib.Path('ready').touch()\nwhile True: signal.pause()")
    job = here.start()
    until(Path("ready").exists, "the version")

    here.call(here.runner.cancel, job.id)

    ended = here.ended(job)
    assert (ended.status, ended.reason) == (JobStatus.SUCCEEDED, "succeeded")
    assert ended.result is not None
    assert (ended.result["version"], ended.result["activated"]) == (1, True)
    assert repository.versions("iris") == (1,)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(1)"], ids=["killed", "exit code"])
def test_training_that_published_without_a_word_has_succeeded_and_serves(
    settings: Settings, child: Callable[[str], None], end: str
) -> None:
    child(f"publish(); {end}")
    looks = []

    async def look() -> None:
        looks.append(1)

    with trainings(settings, look) as here:
        ended = here.ended(here.start())

    assert (ended.status, ended.reason) == (JobStatus.SUCCEEDED, "succeeded")
    assert ended.detail is not None
    assert "before it could say so" in ended.detail
    assert looks == [1]


def test_process_that_the_training_left_behind_does_not_keep_it_from_ending(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child(f"{GRANDCHILD}end('failed', 'enough')")

    ended = here.ended(here.start())

    assert ended.detail == "enough"
    until(lambda: not alive(noted("helper")), "the end of the process that was left behind", 2.0)


@pytest.mark.slow
def test_training_that_takes_too_long_is_killed_and_has_timed_out(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child(f"{IGNORES}sum(range(10 ** 12))")
    job = here.call(here.runner.start, TrainingRequest(model="iris", timeout_s=0.5))

    ended = here.ended(job)

    assert (ended.status, ended.reason) == (JobStatus.FAILED, "timed_out")
    assert ended.detail == "it ran longer than the 0.5 s that it may"
    assert ended.started is not None
    assert ended.finished is not None
    assert 0.5 < (ended.finished - ended.started).total_seconds() < 2.5
    assert not alive(noted())


def test_no_request_gets_more_time_than_the_service_allows(settings: Settings, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    with trainings(settings.model_copy(update={"train_timeout_s": 0.4})) as here:
        job = here.call(here.runner.start, TrainingRequest(model="iris", timeout_s=3600))

        ended = here.ended(job)
    assert (ended.status, ended.reason) == (JobStatus.FAILED, "timed_out")
    assert ended.detail == "it ran longer than the 0.4 s that it may"


HUNGRY = {
    "Python": "x = bytearray(2 << 30)",
    "NumPy": "import numpy; numpy.ones((1 << 31), dtype='u1')",
    "C++": "print('terminate called after throwing an instance of std::bad_alloc', file=sys.stderr); os.abort()",
}


@pytest.mark.parametrize("source", HUNGRY.values(), ids=HUNGRY.keys())
def test_training_that_needs_more_memory_than_it_may_use_ends_out_of_memory(
    here: Trainings, child: Callable[[str], None], source: str
) -> None:
    child(source)
    job = here.call(here.runner.start, TrainingRequest(model="iris", memory_bytes=1 << 30))

    ended = here.ended(job)

    assert (ended.status, ended.reason) == (JobStatus.FAILED, "out_of_memory")
    assert ended.detail == "it needed more than the 1024 MiB of memory that it may use"


def test_training_that_the_kernel_kills_for_memory_ends_out_of_memory(
    here: Trainings, child: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "vmstat"  # as /proc/vmstat, which only grows where there really is no memory left
    counts.write_text("pgfault 7\noom_kill 3\n")
    monkeypatch.setattr(children, "KERNEL_COUNTS", counts)
    child(
        f"pathlib.Path({str(counts)!r}).write_text('pgfault 9\\noom_kill 4\\n'); os.kill(os.getpid(), signal.SIGKILL)"
    )

    assert here.ended(here.start()).reason == "out_of_memory"


def test_last_lines_of_the_log_are_kept_also_of_a_process_that_writes_without_end(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child(
        "sys.stderr.write('x' * (3 << 20) + '\\n'); [print(n, file=sys.stderr) for n in range(40)]\n"
        "sys.stderr.buffer.write(b'\\xff\\x00last'); end('failed', 'enough')"
    )

    log = here.ended(here.start()).log

    assert log[:-1] == tuple(str(number) for number in range(21, 40))
    assert log[-1] == "�last"


def test_shutdown_interrupts_what_runs_and_the_next_process_runs_what_waits(
    settings: Settings, child: Callable[[str], None]
) -> None:
    child("end('failed', 'enough') if sys.argv[2] == 'blobs' else signal.pause()")
    with trainings(settings) as here:
        running, waiting = here.start("iris"), here.start("blobs")
        pid = noted()
    assert not alive(pid)

    with trainings(settings) as here:
        assert here.ended(waiting).detail == "enough"
        ended = here.get(running)
    assert (ended.status, ended.reason, ended.detail) == (
        JobStatus.INTERRUPTED,
        "interrupted",
        "the service was stopped",
    )


def test_owner_that_was_taken_for_dead_kills_its_training_and_writes_nothing(
    here: Trainings, child: Callable[[str], None], settings: Settings
) -> None:
    child("signal.pause()")
    job = here.start()
    pid = noted()
    database = opened(None, settings.state_dir)
    claims = Claims(database, "heir")

    def take_over() -> bool:
        return claims.take_over(claims.find_unfinished().running[0]) is not None

    until(take_over, "a heartbeat between two looks")
    until(lambda: not alive(pid), "the end of the process", 2.0)

    assert here.get(job).status == JobStatus.RUNNING
    assert here.reasons == []
    database.close()


@pytest.mark.slow
def test_at_most_so_many_run_at_once_over_all_processes(settings: Settings, child: Callable[[str], None]) -> None:
    child("open(sys.argv[2], 'w').close(); signal.pause()")
    two = settings.model_copy(update={"train_concurrency": 2})
    with trainings(two) as here, trainings(two) as there:
        jobs = [here.start("iris"), there.start("blobs"), here.start("cancer")]
        until(lambda: Path("iris").exists() and Path("blobs").exists(), "two trainings")

        assert [here.get(job).status for job in jobs] == [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.QUEUED]
        until(
            lambda: there.runner.count_unfinished() == {"queued": 1, "running": 2}, "the figures of the other process"
        )
        there.call(there.runner.cancel, jobs[0].id)
        until(Path("cancer").exists, "the third training")


@pytest.mark.slow
def test_process_that_runs_no_trainings_takes_them_for_others(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    none = settings.model_copy(update={"train_concurrency": 0})
    with trainings(none) as here:
        job = here.start()
        assert here.call(here.runner.wait, job.id, 1.5).status == JobStatus.QUEUED

        with trainings(settings):
            assert here.ended(job).detail == "enough"


def test_job_is_told_apart_from_its_repetition(here: Trainings, child: Callable[[str], None]) -> None:
    child("end('failed', option('--overrides'))")
    request = TrainingRequest(model="iris", overrides=Overrides(epochs=3), activate="never", timeout_s=60)
    first = here.ended(here.call(here.runner.start, request))

    again = here.ended(here.call(here.runner.retry, first.id))

    assert (again.retry_of, again.request(), again.detail) == (first.id, request, '{"epochs": 3}')
    assert again.id != first.id


def test_training_on_a_data_set_is_told_file_target_and_features(
    here: Trainings, child: Callable[[str], None], settings: Settings
) -> None:
    child("end('failed', json.dumps([*sys.argv[1:], '--told', sys.stdin.read()]))")
    database = opened(None, settings.state_dir)
    request = TrainingRequest(model="churn", dataset="clients", target="left", features=('a "b", c', "d"))
    job = JobStore(database).add(request, limit=LIMIT, data_sha256="ab" * 32)
    database.close()
    here.start()  # whoever accepts a job looks for work at once

    ended = here.ended(job)

    arguments = json.loads(ended.detail or "")
    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    assert arguments[:3] == ["fit", "churn", "--json-lines"]
    assert options["--data"] == str(settings.datasets_dir / "clients" / ("ab" * 32) / "clients.csv")
    assert (options["--target"], options["--features"], json.loads(options["--told"])) == (
        "left",
        "-",
        ['a "b", c', "d"],
    )
    assert (options["--job"], options["--keep"], options["--activate"]) == (job.id, "20", "if_better")
    assert len(options["--permit"]) == 32


def test_permit_ends_with_the_job(here: Trainings, child: Callable[[str], None], repository: ModelRepository) -> None:
    child("end('failed', str(sum(1 for _ in pathlib.Path(option('--models-dir')).glob('iris/.permits/*'))))")

    assert here.ended(here.start()).detail == "1"
    assert list(repository.root.glob("iris/.permits/*")) == []


def test_store_that_cannot_be_written_fails_the_job_before_a_process_runs(
    settings: Settings, child: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "models" / "iris").mkdir(parents=True)
    (tmp_path / "models" / "iris" / ".permits").write_text("no folder")
    child("")
    with trainings(settings) as here:
        ended = here.ended(here.start())

    assert (ended.status, ended.reason) == (JobStatus.FAILED, "failed")
    assert ended.detail == "the model store cannot be written: File exists"
    assert not Path("pid").exists()


@contextlib.contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """Hold the job table as somebody does who writes for a long time."""
    with contextlib.closing(sqlite3.connect(settings.state_dir / DATABASE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_end_that_cannot_be_written_is_written_when_it_can(
    here: Trainings, child: Callable[[str], None], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 100)
    child("signal.signal(signal.SIGUSR1, lambda *_: (end('failed', 'enough'), sys.exit())); signal.pause()")
    job = here.start()
    pid = noted()
    until(lambda: here.get(job).progress, "the first epoch")
    with lock(settings):
        os.kill(pid, signal.SIGUSR1)
        until(lambda: not alive(pid), "the end of the process")
        with pytest.raises(StoreUnavailable):
            here.start("blobs")
        assert here.get(job).status == JobStatus.RUNNING

    assert here.ended(job).detail == "enough"
    assert [number for number, _ in here.lines(job)] == [1, 2]


BROKEN: dict[str, Callable[[pytest.MonkeyPatch, Path], None]] = {
    "migrations gone": lambda patch, folder: patch.setattr(databases, "_MIGRATIONS", folder / "none"),
    "import fails": lambda patch, _: patch.setitem(sys.modules, "app.jobs.database", None),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_whatever_keeps_the_table_from_being_opened_is_logged_and_tried_again(
    settings: Settings,
    child: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    """Nobody ran trainings any more after the first fault that no database had reported."""
    monkeypatch.setattr(runners, "OPEN_INTERVAL_S", 0.05)
    child("end('failed', 'enough')")
    with trainings(settings) as here:
        with monkeypatch.context() as patch:
            broken(patch, tmp_path)
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="cannot be used now"):
                    here.start()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"
    assert [line.levelname for line in caplog.records if line.message.startswith("no training")] == ["ERROR"]


def test_x6_request_waits_for_a_locked_table_no_longer_than_the_deadline_and_is_not_being_answered_meanwhile(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X6: opening a table for the first time takes up to ten seconds, and stood outside of both."""
    monkeypatch.setattr(threads, "ANSWER_DEADLINE_S", 0.5)
    metrics = ServingMetrics()

    async def ask(runner: runners.JobRunner) -> None:
        flight = Flight(metrics, 1)
        CONTEXT.set(RequestContext(flight=flight))
        flight.begin()
        task = asyncio.create_task(runner.list())
        await asyncio.sleep(0)  # it goes on as far as it can
        assert (metrics.waiting, metrics.in_progress) == (1, 0)
        await task

    settings.state_dir.mkdir(exist_ok=True)
    locked = contextlib.ExitStack()
    locked.enter_context(lock(settings))
    with locked, trainings(settings) as here:
        with pytest.raises(StoreUnavailable, match="does not answer now"):
            here.call(ask, here.runner)
        assert not [line for line in caplog.records if line.message.startswith("no training")]  # it is still opening
        locked.close()
        until(lambda: here.runner.count_unfinished() or None, "the table")  # alembic makes one at a time in a process


@pytest.mark.slow
def test_table_that_becomes_usable_later_is_worked_on(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    settings.state_dir.write_text("no folder")
    with trainings(settings) as here:
        with pytest.raises(StoreUnavailable):
            here.start()
        settings.state_dir.unlink()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"


def _started(here: Trainings) -> TrainingJob | None:
    with contextlib.suppress(StoreUnavailable):
        return here.start()
    return None


def test_old_jobs_go_when_new_ones_end(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    with trainings(settings.model_copy(update={"keep_jobs": 2})) as here:
        ended = [here.ended(here.start()) for _ in range(4)]
        until(lambda: len(here.call(here.runner.list)[0]) == 2, "the removal of old jobs")

        assert [job.id for job in here.call(here.runner.list)[0]] == [ended[3].id, ended[2].id]
