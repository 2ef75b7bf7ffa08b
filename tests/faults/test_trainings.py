"""F-01, F-15, F-25: trainings killed, out of memory, endless, or with children left."""

from __future__ import annotations

import collections
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.runners import alive
from tests.app.waiting import until
from tests.faults.scenes import Scene, asking, gone, results, rounds, start, working_for
from tests.promises import LONG, Measured, allowed
from tests.trainings import ended

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client, int]]:
    scene = Scene(tmp_path_factory.mktemp("running"))
    with scene.service() as (client, process):
        yield scene, client, process.pid


SYSCALLS = "openat,write,fsync,flock,?mkdir,?mkdirat,?rename,?renameat,?renameat2,?unlink,?unlinkat,?chmod,?fchmodat"
# strace attaches after the imports of the training, so that only publishing is counted
TRACED = """
from modelstore import ModelRepository
tracer = subprocess.Popen(["strace", *{options!r}, "-p", str(os.getpid())], stderr=subprocess.PIPE, text=True)
attached = "attached" in tracer.stderr.readline()
publish(); end('succeeded' if attached else 'failed', 'to its end', version=1)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_training_killed_at_any_system_call_of_publishing_ends_with_the_truth(
    running: tuple[Scene, httpx.Client, int], tmp_path: Path, measured: Measured
) -> None:
    """F-01: every eighth system call; long: every one. tests/modelstore/test_crashes.py does it without a service."""
    scene, client, _ = running
    log = tmp_path / "trace"
    scene.training(TRACED.format(options=["-o", str(log), "-e", f"trace={SYSCALLS}"]))
    if ended(client, start(client))["detail"] != "to its end":
        pytest.skip("strace may not attach to a process here")
    made = collections.Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", log.read_text(), re.MULTILINE))
    points = [(name, when) for name, times in sorted(made.items()) for when in range(1, times + 1)]
    assert len(points) > 30

    reasons = collections.Counter[str]()
    with asking(client) as asker:
        for name, when in points[:: 1 if LONG else 8]:
            before = scene.repository.versions("iris")
            inject = f"inject={name}:signal=SIGKILL:when={when}"
            scene.training(TRACED.format(options=["-o", "/dev/null", "-e", inject]))
            job = ended(client, start(client))

            new = [version for version in scene.repository.versions("iris") if version not in before]
            assert job["version"] == (new[0] if new else None), (name, when)
            for version in new:
                found = scene.repository.find("iris", version)
                found.model_bytes(found.manifest())
            assert job["reason"] == ("succeeded" if new else "failed"), (name, when)
            assert results(client, job["id"]) == 1
            reasons[job["reason"]] += 1

    assert reasons["failed"] > 0
    scene.training("publish(); end('succeeded', 'published', version=1)")
    assert ended(client, start(client))["reason"] == "succeeded"
    measured(
        "F-01", f"{reasons.total()} trainings killed while they publish: all jobs say the truth, {asker.all_right()}"
    )


def test_training_that_wants_four_times_its_memory_ends_out_of_memory(
    running: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-15: twice; long: 10. Within 10 s, and no prediction suffers."""
    scene, client, _ = running
    scene.training("x = bytearray(4 << 30)")
    took_s = []
    with asking(client) as asker:
        for _ in range(rounds(2, 10)):
            began = time.monotonic()
            job = ended(client, start(client, memory_bytes=1 << 30))
            assert (job["status"], job["reason"]) == ("failed", "out_of_memory")
            took_s.append(time.monotonic() - began)
            assert took_s[-1] < allowed(10)
    measured("F-15", f"{len(took_s)} times out_of_memory within {max(took_s):.1f} s, {asker.all_right()}")


def test_training_that_never_ends_is_timed_out_within_two_seconds_of_its_limit(
    running: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-15: twice; long: 10 times."""
    scene, client, _ = running
    scene.training("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()")
    limit_s, took_s = 5, []  # within which a process begins also on a busy machine
    with asking(client) as asker:
        for _ in range(rounds(2, 10)):
            scene.forget()
            began = time.monotonic()
            job = ended(client, start(client, timeout_s=limit_s))
            assert (job["status"], job["reason"]) == ("failed", "timed_out")
            took_s.append(time.monotonic() - began)
            assert took_s[-1] < limit_s + allowed(2 + 1)  # the last second is the start of the process
            assert not alive(scene.noted())
    measured(
        "F-15",
        f"{len(took_s)} times timed_out within {max(took_s):.1f} s of a limit of {limit_s} s, {asker.all_right()}",
    )


FORKS = """
for n in range(3):
    helper = subprocess.Popen([sys.executable, "-c", "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN); s.pause()"])
    pathlib.Path(f"helper{n}").write_text(str(helper.pid))
pathlib.Path("ready").write_text("1")
signal.pause()
"""


def test_cancelled_trainings_leave_no_process_behind(
    running: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-25: 3 trainings with three processes each; long: 50. None is left, not even as a zombie."""
    scene, client, service = running
    scene.training(FORKS)
    before = working_for(service)
    files = ("pid", "helper0", "helper1", "helper2", "ready")
    took_s = []
    for _ in range(rounds(3, 50)):
        for file in files:
            scene.forget(file)
        job_id = start(client)
        scene.noted("ready")
        pids = [scene.noted(file) for file in files[:-1]]

        began = time.monotonic()
        answer = client.delete(f"/train/{job_id}")

        assert answer.is_success, answer.text
        gone(*pids)
        took_s.append(time.monotonic() - began)
        assert ended(client, job_id)["reason"] == "cancelled"
        until(lambda: working_for(service) == before, "the end of zombies")
    measured(
        "F-25",
        f"{len(took_s)} cancelled trainings with {len(pids) - 1} helpers: gone within {max(took_s):.1f} s, 0 zombies",
    )
