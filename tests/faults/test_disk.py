"""F-04, F-12: a full, broken or read-only disk: serving goes on, jobs say why they end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.scenes import Scene, asking, mounted, rounds, start, strace, working_for
from tests.promises import Measured
from tests.trainings import ended

pytestmark = pytest.mark.slow


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"].endswith("predictions are not affected")


def fill(folder: Path) -> Path:
    """Fill the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    return ballast


def test_full_disk_of_the_models_ends_a_training_as_disk_full_and_the_next_one_succeeds(
    tmp_path: Path, measured: Measured
) -> None:
    """F-04 (a), with the real training."""
    with mounted(tmp_path / "models", "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        scene = Scene(tmp_path)
        with scene.service(real_training=True) as (client, _):
            ballast = fill(tmp_path / "models")
            with asking(client, 0.1) as asker:
                # a few bytes for the permit: the disk fills up while the version is written
                ballast.write_bytes(bytes(ballast.stat().st_size - (24 << 10)))
                full = ended(client, start(client, overrides={"epochs": 2}))
                ballast.unlink()
                done = ended(client, start(client, overrides={"epochs": 2}))

    assert (full["status"], full["reason"], full["version"]) == ("failed", "disk_full", None)
    assert (done["reason"], done["version"]) == ("succeeded", 1)
    measured("F-04", f"full disk of the models: disk_full, the next training succeeds, {asker.all_right()}")


def test_full_disk_of_the_job_table_is_answered_503_until_there_is_room(tmp_path: Path, measured: Measured) -> None:
    """F-04 (b)."""
    with mounted(tmp_path / "state", "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        scene = Scene(tmp_path)
        scene.training("publish(); end('succeeded', 'version 1', version=1)")
        with scene.service() as (client, _):
            assert client.get("/train").status_code == 200  # the table is created by the first request for it
            ballast = fill(tmp_path / "state")
            with asking(client) as asker:
                answers = [client.post("/train", json={"model": "iris"}) for _ in range(20)]
                refused = [answer for answer in answers if answer.status_code not in {202, 409}]
                for answer in refused:
                    assert_unavailable(answer)
                ballast.unlink()
                for job in client.get("/train").json()["jobs"]:
                    ended(client, job["id"])
                assert ended(client, start(client, "blobs"))["reason"] == "succeeded"

    assert refused
    measured("F-04", f"full disk of the job table: {len(refused)} answers 503 until there is room, {asker.all_right()}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client, int]]:
    scene = Scene(tmp_path_factory.mktemp("running"))
    scene.training("publish(); end('succeeded', 'version 1', version=1)")
    with scene.service() as (client, process):
        assert client.get("/train").status_code == 200  # the table is created by the first request for it
        yield scene, client, process.pid


def table_of(scene: Scene) -> list[str]:
    """Return the options of strace that leave it at calls on the job table."""
    return [part for end in ("", "-wal") for part in ("-P", str(scene.folder / "state" / f"jobs.sqlite3{end}"))]


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_error_of_the_disk_under_the_job_table_is_answered_503_and_passes(
    running: tuple[Scene, httpx.Client, int], call: str, error: str, measured: Measured
) -> None:
    """F-04 (c): every such call of the service on the table fails for a while."""
    scene, client, pid = running
    with asking(client):
        with strace(pid, *table_of(scene), "-e", f"inject={call}:error={error}"):
            assert_unavailable(client.post("/train", json={"model": "iris"}))
            assert client.get("/train").status_code == 200
        assert ended(client, start(client))["reason"] == "succeeded"
    measured("F-04", "every write and fsync of the job table failing (ENOSPC, EIO, EDQUOT): 503, then as before")


def test_one_error_of_the_disk_under_the_job_table_ends_no_job_wrongly(
    running: tuple[Scene, httpx.Client, int], measured: Measured
) -> None:
    """F-04 (c): the first, second, ... write or fsync of a training's life fails once; 4 times each; long: 30."""
    scene, client, pid = running
    refused = 0
    calls = [(call, n) for call in ("pwrite64", "fdatasync") for n in range(1, rounds(4, 30) + 1)]
    with asking(client) as asker:
        for call, n in calls:
            with strace(pid, *table_of(scene), "-e", f"inject={call}:error=EIO:when={n}"):
                answer = client.post("/train", json={"model": "iris"})
                if answer.status_code == 202:
                    assert ended(client, answer.json()["id"])["reason"] == "succeeded", (call, n)
                else:
                    assert_unavailable(answer)
                    refused += 1
    measured(
        "F-04", f"{len(calls)} single EIO of the job table: {refused} answers 503, no job lost, {asker.all_right()}"
    )


def test_read_only_store_refuses_trainings_before_a_process_runs_and_serves_on(
    scene: Scene, measured: Measured
) -> None:
    """F-12: 1000 predictions."""
    scene.training("publish()")
    models = scene.folder / "models"
    with scene.service() as (client, process):
        before = working_for(process.pid)
        with mounted(models, "--bind", str(models)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(models)], check=True)
            answers = [client.post("/train", json={"model": model}) for model in ("iris", "blobs", "cancer")]
            for answer in answers:
                assert_unavailable(answer)
                assert answer.json()["type"] == "urn:tabserve:problem:repository-read-only"
            for _ in range(1000):
                assert client.post("/predict/means", json={"instances": [[0.5, 0.5]]}).status_code == 200
        assert client.get("/train").json()["jobs"] == []
        assert working_for(process.pid) == before
        assert not (scene.cwd / "pid").exists()
    measured("F-12", f"{len(answers)} trainings refused with 503, 0 processes started, 1000 of 1000 predictions")
