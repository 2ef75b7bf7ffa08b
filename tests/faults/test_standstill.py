"""X-04: a single process restarts itself in place when its event loop is blocked."""

from __future__ import annotations

import os
import signal
import time
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


@pytest.mark.parametrize("stand_still", [signal.SIGUSR1, signal.SIGUSR2], ids=["in Python", "in torch"])
def test_only_process_whose_event_loop_stands_still_is_started_again(
    scene: Scene, stand_still: signal.Signals, measured: Measured
) -> None:
    """X-04: with a training that runs, and another that waits."""
    scene.training("signal.pause()")
    with scene.service(environment=ENVIRONMENT) as (client, process):
        running, waiting = start(client, "iris"), start(client, "cancer")
        training = scene.noted()
        begun(client, running)
        before = client.get("/livez").headers["x-request-id"][:8]
        scene.forget()
        os.kill(process.pid, stand_still)
        began = time.monotonic()
        until(lambda: stands_still(client), "a standstill")

        answer = httpx.post(f"{client.base_url}/predict/means", json=ROW, timeout=300)  # while the loop is blocked

        took_s = time.monotonic() - began
        assert answer.status_code == 200
        assert answer.headers["x-request-id"][:8] != before
        assert process.poll() is None
        assert (scene.folder / "service.log").read_text().count("the event loop stood still for 2 s, in ") == 1
        gone(training)
        assert ended(client, running)["status"] == "interrupted"
        begun(client, waiting)
        left = working_for(process.pid)
        assert len(left) == 2, "the trial process and the training, nothing of the former life"
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


def test_process_that_was_stopped_as_a_whole_goes_on(scene: Scene) -> None:
    """X-04: by SIGSTOP for longer than an event loop may stand still, as on a machine that sleeps."""
    with scene.service(environment=ENVIRONMENT) as (client, process):
        before = client.get("/livez").headers["x-request-id"][:8]
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2 * SILENT_S)  # the fault itself
        os.kill(process.pid, signal.SIGCONT)

        until(lambda: client.get("/livez").headers["x-request-id"][:8] == before, "the same process")
        answer = client.post("/predict/means", json=ROW)

    assert answer.headers["x-request-id"][:8] == before
    assert "stood still" not in (scene.folder / "service.log").read_text()
