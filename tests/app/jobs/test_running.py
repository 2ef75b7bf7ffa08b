"""A running job: how its training process is supervised, ended and reported.

With real processes.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.jobs import running
from app.jobs.claims import Claims
from app.jobs.command import input_of
from app.jobs.errors import JobEnded
from app.jobs.process import child as children
from app.jobs.process import processor
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.settings import Settings
from modelstore import ModelRepository
from modelstore.progress import SEARCH_ENDED
from tests.app.databases import LIMIT, opened
from tests.app.runners import Trainings, alive, noted, trainings
from tests.app.waiting import until
from tests.promises import allowed

LIMIT_S = 5.0  # within which a process begins also on a busy machine
IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


STUBBORN = {
    "polite": "",
    "ignores SIGTERM": IGNORES,
    "in the middle of C code": f"{IGNORES}sum(range(10 ** 12))\n",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)\n",
}


EPOCH = {
    "event": "epoch",
    "epoch": 1,
    "epochs": 9,
    "train_loss": 0.5,
    "validation_loss": None,
    "test_accuracy": None,
    "test_rmse": None,
    "learning_rate": 0.1,
    "gradient_norm": 1.0,
    "rows_per_s": 0.0,
    "elapsed_s": 0.1,
    "remaining_s": 0.1,
}


def notice_of(job: TrainingJob) -> str | None:
    """Return the notice that is shown as the progress of a job, if one is."""
    progress = job.progress or {}
    return str(progress["message"]) if progress.get("event") == "notice" else None


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
    until(lambda: not any(map(alive, pids)), "the end of both processes")

    assert asked.cancel_requested
    ended = asker.ended(job)
    assert (ended.status, ended.reason, ended.detail) == (JobStatus.CANCELLED, "cancelled", "cancelled while it ran")
    with pytest.raises(JobEnded):
        here.call(here.runner.cancel, job.id)
    until(lambda: here.reasons == ["cancelled"], "its end is counted")


COUNTS = """
asked = []
def finish(*_): asked.append(1); end('succeeded', f'asked {len(asked)} time', version=None); epoch(2)
signal.signal(signal.SIGINT, finish)
pathlib.Path('ready').touch()
while not os.path.exists('enough'): time.sleep(0.01)
"""


@pytest.mark.parametrize("asks", ["here", "there"])
def test_training_is_asked_once_to_finish_wherever_it_runs_and_then_succeeds(
    here: Trainings, there: Trainings, child: Callable[[str], None], asks: str
) -> None:
    child(COUNTS)
    job = here.start()
    until(Path("ready").exists, "its handler")
    asker = here if asks == "here" else there

    for _ in range(2):
        asked = asker.call(partial(asker.runner.cancel, keep=True), job.id)
    until(lambda: (here.get(job).progress or {}).get("epoch") == 2, "its answer")
    Path("enough").touch()

    assert (asked.finish_requested, asked.cancel_requested) == (True, False)
    ended = asker.ended(job)
    assert (ended.status, ended.detail) == (JobStatus.SUCCEEDED, "asked 1 time")


SEARCHES = f"""
asked = []
def finish(*_):
    asked.append(1)
    print(json.dumps(dict(event='notice', message={SEARCH_ENDED!r})), flush=True) if len(asked) == 1 else None
    if len(asked) == 2: end('succeeded', 'asked 2 times', version=None); epoch(2)
signal.signal(signal.SIGINT, finish)
pathlib.Path('ready').touch()
while not os.path.exists('enough'): time.sleep(0.01)
"""


@pytest.mark.parametrize("asks", ["here", "there"])
def test_training_whose_search_was_ended_can_be_asked_to_finish_once_more(
    here: Trainings, there: Trainings, child: Callable[[str], None], asks: str
) -> None:
    child(SEARCHES)
    job = here.start()
    until(Path("ready").exists, "its handler")
    asker = here if asks == "here" else there

    asked = asker.call(partial(asker.runner.cancel, keep=True), job.id)
    assert asked.finish_requested
    until(lambda: not here.get(job).finish_requested, "the end of the search")
    asker.call(partial(asker.runner.cancel, keep=True), job.id)
    until(lambda: (here.get(job).progress or {}).get("epoch") == 2, "the answer to the second")
    Path("enough").touch()

    ended = asker.ended(job)
    assert (ended.detail, ended.finish_requested) == ("asked 2 times", True)


@pytest.mark.slow
def test_training_that_is_to_finish_can_be_cancelled(here: Trainings, child: Callable[[str], None]) -> None:
    child("signal.signal(signal.SIGINT, signal.SIG_IGN)\npathlib.Path('ready').touch()\nsignal.pause()")
    job = here.start()
    until(Path("ready").exists, "its handler")

    here.call(partial(here.runner.cancel, keep=True), job.id)
    here.call(here.runner.cancel, job.id)

    assert here.ended(job).reason == "cancelled"


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="killed"),
        pytest.param("sys.exit(1)", id="exit code", marks=pytest.mark.slow),
    ],
)
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
    until(lambda: not alive(noted("helper")), "the end of the process that was left behind")


@pytest.mark.slow
def test_training_that_takes_too_long_is_killed_and_has_timed_out(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child(f"{IGNORES}sum(range(10 ** 12))")
    job = here.call(here.runner.start, TrainingRequest(model="iris", timeout_s=LIMIT_S))

    ended = here.ended(job)

    assert (ended.status, ended.reason) == (JobStatus.FAILED, "timed_out")
    assert ended.detail == "it ran longer than the 5 s that it may"
    assert ended.started is not None
    assert ended.finished is not None
    assert LIMIT_S < (ended.finished - ended.started).total_seconds() < LIMIT_S + 1 + allowed(1)
    until(lambda: not alive(noted()), "the end of the process")


def test_no_request_gets_more_time_than_the_service_allows(settings: Settings, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    with trainings(settings.model_copy(update={"train_timeout_s": 0.4})) as here:
        job = here.call(here.runner.start, TrainingRequest(model="iris", timeout_s=3600))

        ended = here.ended(job)
    assert (ended.status, ended.reason) == (JobStatus.FAILED, "timed_out")
    assert ended.detail == "it ran longer than the 0.4 s that it may"


def test_training_is_as_nice_as_the_setting_says(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', str(os.nice(0)))")
    with trainings(settings.model_copy(update={"train_niceness": 3})) as here:
        assert here.ended(here.start()).detail == str(min(19, os.nice(0) + 3))


@pytest.mark.slow
def test_training_without_a_processor_says_so_and_that_it_runs_again(
    here: Trainings, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "WINDOW_S", 1.0)
    monkeypatch.setattr(processor, "LOOK_INTERVAL_S", 0.1)
    child("os.kill(os.getpid(), signal.SIGSTOP)\nwhile not os.path.exists('enough'): pass\nend('failed', 'enough')")
    job = here.start()

    stopped = until(lambda: notice_of(here.get(job)), "the notice")
    assert stopped.endswith("s of processor time in the last 1 s: it was stopped by a signal")
    os.kill(noted(), signal.SIGCONT)
    until(lambda: here.get(job).progress == EPOCH, "the latest epoch again")
    Path("enough").touch()

    said = [event["message"] for _, line in here.lines(job) if (event := json.loads(line))["event"] == "notice"]
    assert said[0] == stopped
    assert said[1].startswith("the training runs again, after ")


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
    until(lambda: not alive(pid), "the end of the process")

    assert here.get(job).status == JobStatus.RUNNING
    assert here.reasons == []
    database.close()


@pytest.mark.slow
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
    assert (options["--job"], options["--keep"]) == (job.id, "20")
    assert "--activate" not in options  # the recipe says when
    assert len(options["--permit"]) == 32


def test_input_of_a_training_is_written_in_a_thread_as_it_may_have_many_rows_of_feedback(
    here: Trainings, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writing: list[int] = []

    def write(*arguments: Any) -> bytes:
        writing.append(threading.get_ident())
        return input_of(*arguments)

    monkeypatch.setattr(running, "input_of", write)
    child("end('failed', 'enough')")
    here.ended(here.start())

    assert len(writing) == 1
    assert writing[0] != here.portal.call(threading.get_ident)


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
