"""F-09: the wall clock jumps or runs backwards; only displayed times may depend on it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.security.keys import KeyFile, Scope
from tests.app.waiting import until
from tests.fakes import publish
from tests.faults.scenes import Scene, asking, begun, results, start
from tests.promises import Measured, allowed
from tests.trainings import ended

pytestmark = [pytest.mark.slow, pytest.mark.alone]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
DAY_S = 24 * 3600
WAITS = """signal.signal(signal.SIGUSR1, lambda *_: None); signal.pause()
end('succeeded', 'published', version=publish())
"""
ALL = "predict,train,admin,metrics"


class Clock:
    """The service's wall clock: ours plus a number of seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: float) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        new.replace(self._file)

    @contextlib.contextmanager
    def running_backwards(self) -> Iterator[None]:
        """Go back by a second in every second."""
        done = threading.Event()

        def run() -> None:
            began = time.monotonic()
            while not done.wait(1):
                self.set(-2 * (time.monotonic() - began))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextlib.contextmanager
    def stepped(self, seconds: float) -> Iterator[None]:
        self.set(seconds)
        yield


@contextlib.contextmanager
def two_services(scene: Scene, clock: Clock, key_file: KeyFile) -> Iterator[httpx.Client]:
    """Run a service with this clock, and one with ours that would take over its trainings if they seemed given up."""
    lease = {"TABSERVE_TRAIN_LEASE_S": "3"}
    keys = {"TABSERVE_KEYS_FILE": str(key_file.path), "TABSERVE_ANONYMOUS": ALL}
    with (
        scene.service(environment={**lease, **keys, **clock.environment}) as (client, _),
        scene.service(environment={**lease, "TABSERVE_TRAIN_CONCURRENCY": "0"}),
    ):
        yield client


def train_predict_promote(
    scene: Scene, client: httpx.Client, change: Callable[[], contextlib.AbstractContextManager[None]]
) -> int:
    """Change the clock under load; return the number of correct predictions."""
    scene.forget()
    job_id = start(client)
    pid = scene.noted()
    begun(client, job_id)
    with asking(client) as asker, change():
        for version in (1, 2, 1):
            assert client.post(f"/models/others/versions/{version}/activate").json()["serving_version"] == version
        until(lambda: len(asker.took_s) >= 50, "predictions")
        os.kill(pid, signal.SIGUSR1)
        job = ended(client, job_id)
    assert (job["status"], results(client, job_id)) == ("succeeded", 1)
    assert (
        client.get("/models/iris").json()["serving_version"] == job["version"] == scene.repository.versions("iris")[-1]
    )
    return len(asker.took_s)


def accepted(client: httpx.Client, key: str) -> bool:
    return client.get("/models", headers={"authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed; scripts/packages does it")
def test_wall_clock_that_jumps_costs_no_prediction_no_training_and_no_key(scene: Scene, measured: Measured) -> None:
    clock = Clock(scene.folder)
    key_file = KeyFile(scene.folder / "keys.json")
    lasting = key_file.create(frozenset({Scope.PREDICT}), datetime.now(UTC) + timedelta(days=30), "lasts")
    for _ in range(2):
        publish(scene.repository, "others")
    scene.training(WAITS)
    changes: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
        "a day back": lambda: clock.stepped(-DAY_S),
        "a year ahead": lambda: clock.stepped(365 * DAY_S),
        "a second back every second": clock.running_backwards,
    }
    with two_services(scene, clock, key_file) as client:
        predictions = sum(train_predict_promote(scene, client, change) for change in changes.values())
        assert accepted(client, lasting)  # also a year later

        clock.set(0)
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
        short = key_file.create(frozenset({Scope.PREDICT}), expires, "expires")
        until(lambda: accepted(client, short), "the new key")
        clock.set(-DAY_S)
        until(lambda: not accepted(client, short), "the end of the key")

        scene.training("signal.pause()")
        scene.forget()
        job_id = start(client, timeout_s=2)
        scene.noted()
        began = time.monotonic()
        clock.set(365 * DAY_S)
        assert ended(client, job_id)["reason"] == "timed_out"
        took_s = time.monotonic() - began
        samples = [
            sample
            for family in text_string_to_metric_families(client.get("/metrics").text)
            for sample in family.samples
        ]

    assert 0.5 < took_s < 2 + allowed(1)
    assert len(samples) > 50
    assert [sample for sample in samples if sample.value < 0] == []
    assert scene.repository.versions("iris") == (1, 2, 3)
    measured(
        "F-09",
        f"{', '.join(changes)}: {predictions} of {predictions} predictions right, 3 of 3 trainings published, "
        f"keys as before, a time limit of 2 s kept to {took_s - 2:+.1f} s",
    )
