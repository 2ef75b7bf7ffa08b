"""X-04: a single process restarts itself in place when its event loop is blocked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.waiting import until
from tests.faults.scenes import ROW, Scene, begun, gone, start, working_for
from tests.promises import Measured
from tests.trainings import ended

pytestmark = pytest.mark.slow

SILENT_S = 2.0
ENVIRONMENT = {
    "PYTHONPATH": f"{Path(__file__).parent / 'standstill'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    "TABSERVE_HUNG_AFTER_S": f"{SILENT_S:g}",
    "TABSERVE_TRAIN_LEASE_S": "600",  # lease of an owner that is not known to be dead
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client, subprocess.Popen[bytes]]]:
    scene = Scene(tmp_path_factory.mktemp("running"))
    scene.training("signal.pause()")
    with scene.service(environment=ENVIRONMENT) as (client, process):
        yield scene, client, process


@pytest.mark.parametrize("stand_still", [signal.SIGUSR1, signal.SIGUSR2], ids=["in Python", "in torch"])
def test_only_process_whose_event_loop_stands_still_is_started_again(
    running: tuple[Scene, httpx.Client, subprocess.Popen[bytes]], stand_still: signal.Signals, measured: Measured
) -> None:
    """X-04: with a training that runs, and another that waits."""
    scene, client, process = running
    scene.forget()
    interrupted, waiting = start(client, "iris"), start(client, "cancer")
    training = scene.noted()
    begun(client, interrupted)
    before = client.get("/livez").headers["x-request-id"][:8]
    earlier = standstills(scene)
    os.kill(process.pid, stand_still)
    began = time.monotonic()
    until(lambda: stands_still(client), "a standstill")

    answer = httpx.post(f"{client.base_url}/predict/means", json=ROW, timeout=300)  # while the loop is blocked

    took_s = time.monotonic() - began
    assert answer.status_code == 200
    assert answer.headers["x-request-id"][:8] != before
    assert process.poll() is None
    assert standstills(scene) == earlier + 1
    gone(training)
    assert ended(client, interrupted)["status"] == "interrupted"
    begun(client, waiting)
    left = working_for(process.pid)
    assert len(left) == 2, "the trial process and the training, nothing of the former life"
    client.delete(f"/train/{waiting}")
    ended(client, waiting)
    measured(
        "X-04", f"an event loop that stood still for {SILENT_S:g} s: answering again {took_s - SILENT_S:.1f} s later"
    )


def stands_still(client: httpx.Client) -> bool:
    """Return whether a probe gets no response."""
    try:
        httpx.get(f"{client.base_url}/livez", timeout=0.5)
    except httpx.ReadTimeout:
        return True
    return False


def standstills(scene: Scene) -> int:
    """Return how many standstills the service has logged."""
    return (scene.folder / "service.log").read_text().count("the event loop stood still for 2 s, in ")


def test_process_that_was_stopped_as_a_whole_goes_on(
    running: tuple[Scene, httpx.Client, subprocess.Popen[bytes]],
) -> None:
    """X-04: by SIGSTOP for longer than an event loop may stand still, as on a machine that sleeps."""
    scene, client, process = running
    before, earlier = client.get("/livez").headers["x-request-id"][:8], standstills(scene)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2 * SILENT_S)  # the fault itself
    os.kill(process.pid, signal.SIGCONT)

    until(lambda: client.get("/livez").headers["x-request-id"][:8] == before, "the same process")
    answer = client.post("/predict/means", json=ROW)

    assert answer.headers["x-request-id"][:8] == before
    assert standstills(scene) == earlier
