"""The audit file after kills and with full disks: no answered action is missing (D-13)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.security.audit.verification import verify
from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish
from tests.faults.scenes import ROW, Scene, children_of, mounted, rounds
from tests.faults.test_disk import fill
from tests.processes import PLAIN, service
from tests.promises import LONG, Measured

ACTIONS = rounds(240, 1000)
KILLS = rounds(3, 10)
CLIENTS = 4
ASKED: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("POST", "/models/means/versions/1/activate", None),
    ("POST", "/models/means/versions/2/activate", None),
    ("DELETE", "/models/means/versions/9", None),
    ("DELETE", "/datasets/none", None),
    ("POST", "/train", {"model": "unheard-of"}),
    ("DELETE", "/train/0123456789abcdef", None),
)


class Operators:
    """Clients that make changes one after the other, and record the responses."""

    def __init__(self, key: str) -> None:
        self.answered: dict[str, int] = {}
        self._asked = 0
        self._headers = {"authorization": f"Bearer {key}"}
        self._lock = threading.Lock()

    def _next(self) -> int:
        with self._lock:
            self._asked += 1
            return self._asked

    def _ask(self, url: httpx.URL, most: int, alive: Callable[[], bool]) -> None:
        while alive() and len(self.answered) < most:
            with suppress(httpx.TransportError), httpx.Client(base_url=url, timeout=300, verify=PLAIN) as client:
                while len(self.answered) < most:
                    number = self._next()
                    method, path, body = ASKED[number % len(ASKED)]
                    request_id = f"action-{number}"
                    headers = {**self._headers, "x-request-id": request_id}
                    self.answered[request_id] = client.request(method, path, json=body, headers=headers).status_code

    @contextmanager
    def at_work(self, url: httpx.URL, most: int, alive: Callable[[], bool]) -> Iterator[None]:
        """Send requests from several threads until this number was answered, or the service stops answering."""
        threads = [threading.Thread(target=self._ask, args=(url, most, alive)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()


def records(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_bytes().splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def check(folder: Path, operators: Operators, key: str) -> str:
    """Check that every answered action is recorded with its outcome, in a chain; return the verification."""
    path = folder / "state" / "audit.jsonl"
    asked, ended = Counter[str](), dict[str, int]()
    for record in records(path):
        if "request_id" in record:
            asked[record["request_id"]] += record["outcome"] == "asked"
            if record["outcome"] not in ("asked", "unknown"):
                ended[record["request_id"]] = record["status"]
    missing = [one for one, status in operators.answered.items() if ended.get(one) != status or asked[one] != 1]
    assert missing == []
    assert set(operators.answered.values()) <= {200, 404, 409}
    found = verify([path])
    assert key.split("_", 2)[2] not in path.read_text("utf-8", "replace")
    return f"{len(operators.answered)} answered actions, 0 missing; {found.records} records, {found.sealed} torn"


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    with service(folder, *arguments, environment={"TABSERVE_KEYS_FILE": str(folder / "keys.json")}) as running:
        yield running


def prepared(folder: Path) -> str:
    """Publish two versions of `means`, and return a key for everything."""
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish(repository)
    return KeyFile(folder / "keys.json").create(frozenset(Scope), None, "")


@pytest.mark.slow
@pytest.mark.timeout(900 if LONG else 300)
def test_whatever_was_answered_is_on_record_although_the_service_is_killed(tmp_path: Path, measured: Measured) -> None:
    """D-13, whose form asks for 1,000 actions and 10 kills."""
    key = prepared(tmp_path)
    operators = Operators(key)
    for kill in range(1, KILLS + 2):
        most = ACTIONS * kill // (KILLS + 1)
        with started(tmp_path) as (client, process):

            def alive(process: subprocess.Popen[bytes] = process) -> bool:
                return process.poll() is None

            with operators.at_work(client.base_url, ACTIONS, alive):
                until(lambda most=most: len(operators.answered) >= most, f"{most} answers")  # type: ignore[misc]
                if kill <= KILLS:
                    process.kill()

    assert len(operators.answered) >= ACTIONS
    measured("D-13", f"{KILLS} kill -9: {check(tmp_path, operators, key)}")


@pytest.mark.slow
@pytest.mark.timeout(900 if LONG else 300)
def test_workers_that_are_killed_leave_one_chain(tmp_path: Path, measured: Measured) -> None:
    """D-13, with two processes that write."""
    key = prepared(tmp_path)
    operators = Operators(key)
    with started(tmp_path, "--workers", "2") as (client, process):

        def workers() -> list[int]:
            found = []
            for child in children_of(process.pid):
                with suppress(OSError):
                    if b"\0worker\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(child)
            return found

        with operators.at_work(client.base_url, ACTIONS, lambda: process.poll() is None):
            for kill in range(1, KILLS + 1):
                most = ACTIONS * kill // (KILLS + 1)
                until(lambda most=most: len(operators.answered) >= most, f"{most} answers")  # type: ignore[misc]
                os.kill(until(lambda: next(iter(workers()), None), "a worker runs"), signal.SIGKILL)
            until(lambda: len(operators.answered) >= ACTIONS, "all answers")

    measured("D-13", f"{KILLS} kill -9 of one of two workers: {check(tmp_path, operators, key)}")


@pytest.mark.slow
def test_full_disk_stops_what_is_audited_and_nothing_else(tmp_path: Path) -> None:
    """D-13: an action that cannot be recorded is not done; the record is complete when there is space again."""
    folder = tmp_path / "audit"
    with mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        path = folder / "audit.jsonl"
        scene = Scene(tmp_path)
        with scene.service(environment={"TABSERVE_AUDIT_FILE": str(path)}) as (client, _):

            def refused() -> httpx.Response | None:
                answer = client.delete("/datasets/none")
                return answer if answer.status_code != 404 else None

            assert refused() is None
            ballast = fill(folder)
            answer = until(refused, "the last page of the file is full")
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:tabserve:problem:audit-unavailable"
            counted = 'tabserve_http_requests_total{route="unmatched",method="other",code="503"} 1'
            assert counted in client.get("/metrics").text  # the metric of the alert NotOnRecord
            assert client.post("/predict/means", json=ROW).status_code == 200
            ballast.unlink()
            assert refused() is None
        whole = verify([path])

    assert (whole.sealed, whole.torn_bytes) == (0, 0)
