"""Services on one store, a client that never stops asking, and how often to repeat.

A test names its fault (F-04) and what the long form asks for; TABSERVE_FAULTS=long runs that form.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from modelstore import ModelRepository
from tests.app.runners import alive, write_training
from tests.app.waiting import until
from tests.attacks.measuring import inspector_of
from tests.fakes import publish
from tests.preloaded import forked_trainings
from tests.processes import PLAIN, service
from tests.promises import LONG

ROW = {"instances": [[0.25, 0.75]]}


def rounds(short: int, long: int) -> int:
    """Return the number of repetitions."""
    return long if LONG else short


class Scene:
    """A folder with a store that serves `means`, and the services that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "cwd"
        self.repository = ModelRepository(folder / "models")
        publish(self.repository)

    def training(self, source: str) -> None:
        """Replace `python -m training` with a process that reports one epoch and runs these lines."""
        write_training(self.cwd, source)

    @contextlib.contextmanager
    def service(
        self, *, real_training: bool = False, environment: Mapping[str, str] | None = None, ready: bool = True
    ) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
        """Run a service on the folder; real trainings are forked."""
        self.cwd.mkdir(exist_ok=True)
        cwd = forked_trainings() if real_training else self.cwd
        with service(self.folder, environment=environment, cwd=cwd, ready=ready) as (client, process):
            yield client, process

    def noted(self, file: str = "pid") -> int:
        """Return the process id that a training wrote, when it has."""
        path = self.cwd / file
        return until(lambda: path.exists() and int(path.read_text() or 0), f"an id in {file}")

    def forget(self, file: str = "pid") -> None:
        """Remove a note, in order to wait for that of the next training."""
        (self.cwd / file).unlink(missing_ok=True)


def start(client: httpx.Client, model: str = "iris", **fields: object) -> str:
    """Start a training and return its id."""
    answer = client.post("/train", json={"model": model, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def begun(client: httpx.Client, job_id: str) -> None:
    """Wait until the table has the first epoch of a training."""
    until(lambda: client.get(f"/train/{job_id}").json()["progress"], "the first epoch")


def gone(*pids: int) -> None:
    """Wait until none of some processes runs."""
    until(lambda: not any(map(alive, pids)), "the end of all processes")


def results(client: httpx.Client, job_id: str) -> int:
    """Return how many results the events of an ended training hold: one, or something ended it twice."""
    return client.get(f"/train/{job_id}/events").text.count("event: result")


def children_of(pid: int) -> set[int]:
    """Return the processes that a process started and that are not gone, zombies included."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(child) for task in tasks for child in (task / "children").read_text().split()}


def working_for(pid: int) -> set[int]:
    """Return the processes that a service started, without the one that is ready to check the next data set.

    That one comes some seconds after the start of the service, and goes and comes again when it likes.
    """
    return children_of(pid) - {inspector_of(pid)}


class Asking:
    """Consecutive predictions in a thread beside other work."""

    def __init__(self, client: httpx.Client, pause_s: float) -> None:
        self._client = httpx.Client(base_url=client.base_url, timeout=300, verify=PLAIN)
        self._pause_s = pause_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.wrong: list[str] = []
        self.took_s: list[float] = []

    def _ask(self) -> None:
        expected = self._client.post("/predict/means", json=ROW).content
        while not self._done.wait(self._pause_s):
            began = time.perf_counter()
            try:
                answer = self._client.post("/predict/means", json=ROW)
            except httpx.TransportError as error:
                self.wrong.append(repr(error))
                continue
            self.took_s.append(time.perf_counter() - began)
            if answer.status_code != 200 or answer.content != expected:
                self.wrong.append(answer.text)

    def all_right(self) -> str:
        """Return the figure of a promise about predictions, which `asking` checks."""
        return f"{len(self.took_s)} of {len(self.took_s) + len(self.wrong)} predictions right"

    def p99_s(self) -> float:
        """Return the 99th percentile of the response times."""
        return statistics.quantiles(self.took_s, n=100)[98]

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._client.close()


@contextlib.contextmanager
def asking(client: httpx.Client, pause_s: float = 0.02) -> Iterator[Asking]:
    """Request the same prediction 50 times a second; check at the end that every response was right, bit for bit."""
    with Asking(client, pause_s) as asker:
        yield asker
        until(lambda: len(asker.took_s) + len(asker.wrong) >= 3, "predictions")  # trainings may end at once
    assert asker.wrong == []


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something on a folder, if this user may."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def strace(process: int, *options: str) -> Iterator[None]:
    """Use strace to change the system calls of a process and all its threads."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-f", "-o", os.devnull, *options, "-p", str(process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        if "attached" not in (line := tracer.stderr.readline()):
            pytest.skip(f"strace may not attach to a process here: {line.strip()}")
        try:
            yield
        finally:
            tracer.terminate()
