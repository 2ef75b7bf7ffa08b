"""Workers behind one address: one sum of figures, replacements, and one version soon."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelstore import ModelRepository
from tests.app.sockets import JSON, connected, request
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import PROJECT, service
from tests.promises import allowed

pytestmark = pytest.mark.slow

BODY = b'{"instances": [[0.25, 0.25]]}'
SWAP_DEADLINE_S = allowed(2)


@dataclass
class Live:
    """Two workers with the model `means`, and how many predictions they were asked for."""

    client: httpx.Client
    process: Popen[bytes]
    repository: ModelRepository
    asked: int = 0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("workers")
    repository = ModelRepository(folder / "models")
    publish(repository)
    with service(folder, "--workers", "2") as (client, process):
        live = Live(client, process, repository)
        until(lambda: len(answering(live, 20)) == 2, "both workers answer")
        yield live


def predict(live: Live) -> tuple[str, int]:
    """Predict on a fresh connection; return which worker answered, and with which version."""
    live.asked += 1
    with connected(live.client.base_url) as connection:
        connection.send(request(BODY, "/predict/means", {**JSON, "connection": "close"}))
        answer = connection.answer()
    assert answer.status == 200, answer
    found = re.search(rb'"version":(\d+)', answer.body)
    assert found
    return answer.headers["x-request-id"][:8], int(found[1])


def answering(live: Live, requests: int) -> Counter[str]:
    """Return how many of some requests each worker answered."""
    return Counter(predict(live)[0] for _ in range(requests))


def scrape(live: Live) -> tuple[str, int]:
    """Return which worker showed its figures, and how many predictions it says that all of them answered."""
    with connected(live.client.base_url) as connection:
        connection.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = connection.answer()
    wanted = {"route": "/predict/{model}", "method": "POST", "code": "200"}
    families = text_string_to_metric_families(answer.body.decode())
    count = sum(s.value for family in families for s in family.samples if s.labels == wanted)
    return answer.headers["x-request-id"][:8], int(count)


def all_counted(live: Live) -> bool:
    """Tell whether both workers show all predictions ever asked for, no more and no less."""
    shown = {scrape(live) for _ in range(10)}
    return len(shown) == 2 and {count for _, count in shown} == {live.asked}


def worker_pids(live: Live) -> set[int]:
    """Return the processes that serve."""
    return {int(pid) for pid in Path(f"/proc/{live.process.pid}/task/{live.process.pid}/children").read_text().split()}


def test_figures_are_summed_whichever_worker_answers(live: Live) -> None:
    until(lambda: both(live), "both workers answer")
    until(lambda: all_counted(live), "both workers show the sum")


def test_killed_worker_is_replaced_and_what_it_counted_stays(live: Live) -> None:
    answering(live, 40)
    until(lambda: all_counted(live), "both workers show the sum")
    killed = worker_pids(live).pop()

    os.kill(killed, signal.SIGKILL)

    until(lambda: len(worker_pids(live) - {killed}) == 2, "a new worker was started")
    until(lambda: both(live), "both workers answer")
    until(lambda: all_counted(live), "both workers show the sum, the dead one's part included")


def both(live: Live) -> Counter[str] | None:
    shares = answering(live, 20)
    return shares if len(shares) == 2 else None


def test_both_workers_serve_a_new_version_soon(live: Live) -> None:
    version = publish(live.repository, shift=0.5)

    def served() -> bool:
        answers = {predict(live) for _ in range(20)}
        return len({worker for worker, _ in answers}) == 2 and {found for _, found in answers} == {version}

    until(served, "both workers serve the new version", SWAP_DEADLINE_S)


def test_version_that_one_worker_was_told_to_activate_is_served_by_both(live: Live) -> None:
    answered = live.client.post("/models/means/versions/1/activate")
    assert answered.status_code == 200

    until(lambda: {predict(live)[1] for _ in range(20)} == {1}, "both workers serve version 1", SWAP_DEADLINE_S)


def by_number(live: Live, version: int) -> tuple[str, int]:
    """Ask for a version on a fresh connection; return which worker answered, and the status."""
    with connected(live.client.base_url) as connection:
        path = f"/predict/means/versions/{version}"
        connection.send(request(BODY, path, {**JSON, "connection": "close"}))
        answer = connection.answer()
    return answer.headers["x-request-id"][:8], answer.status


def both_say(live: Live, version: int, status: int) -> bool:
    """Tell whether each of the workers answered, and with this status only."""
    answers = {by_number(live, version) for _ in range(20)}
    return len({worker for worker, _ in answers}) == 2 and {found for _, found in answers} == {status}


@pytest.mark.parametrize("how", ["DELETE", "prune"])
def test_f8_version_that_both_had_loaded_and_one_removed_is_404_at_both(live: Live, how: str) -> None:
    """F8: the worker that was not asked, or none with the command line, answered from memory for ever."""
    version = publish(live.repository, activate=False)
    until(lambda: both_say(live, version, 200), "both workers have loaded it")

    if how == "DELETE":
        assert live.client.delete(f"/models/means/versions/{version}").status_code == 204
    else:
        newer = publish(live.repository, activate=False)
        assert newer > version
        run_training("prune", "means", "--keep", "1", "--models-dir", str(live.repository.root))

    until(lambda: both_say(live, version, 404), "both workers have forgotten it", SWAP_DEADLINE_S)


def run_training(*arguments: str) -> None:
    """Run `python -m training ...`, which must succeed."""
    with Popen([sys.executable, "-m", "training", *arguments], cwd=PROJECT, stdout=PIPE, stderr=PIPE) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
