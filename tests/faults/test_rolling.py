"""F-13 behind nginx: replicas are restarted one after the other, as in an upgrade, and no request fails."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from modelstore import ModelRepository
from tests.deployed import nginx
from tests.fakes import publish
from tests.faults.scenes import ROW
from tests.nameserver import NameServer
from tests.processes import free_port, service
from tests.promises import LONG

HOSTS = ("127.0.0.2", "127.0.0.3")
REQUESTS = 20_000 if LONG else 2_000
RATE_PER_S = 190  # nginx accepts 200 from one address
CLIENTS = 16
ENVIRONMENT = {"TABSERVE_DRAIN_S": "5" if LONG else "1", "TABSERVE_ANONYMOUS": "predict"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200 if LONG else 240),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]


@dataclass
class Load:
    """Clients that keep their connections and together send requests at a fixed rate, whatever the latency."""

    address: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Send requests until the block ends."""
        threads = [threading.Thread(target=self._ask, args=(number / RATE_PER_S,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _ask(self, offset_s: float) -> None:
        due = time.monotonic() + offset_s
        with httpx.Client(base_url=self.address, timeout=30) as client:
            while not self._done.wait(max(0.0, due - time.monotonic())):
                due += CLIENTS / RATE_PER_S
                began = time.monotonic()
                try:
                    answer = client.post("/predict/means", json=ROW)
                    wrong = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
                except httpx.TransportError as error:
                    wrong = repr(error)
                with self._lock:
                    self.answered += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                    if wrong:
                        self.failed.append(wrong)


@pytest.mark.alone
def test_a_rolling_restart_behind_nginx_fails_no_request(tmp_path: Path, measured: Callable[[str, str], None]) -> None:
    publish(ModelRepository(tmp_path / "models"))
    port, names = free_port(), NameServer(HOSTS)
    restarts = 0
    with contextlib.ExitStack() as stack:
        replicas = {host: stack.enter_context(contextlib.ExitStack()) for host in HOSTS}

        def start(host: str) -> None:
            replicas[host].enter_context(service(tmp_path, environment=ENVIRONMENT, address=(host, port)))

        for host in HOSTS:
            start(host)
        stack.enter_context(names.answering())
        load = Load(stack.enter_context(nginx(tmp_path, f"http://api:{port}", resolver=names.address)))
        with load.running():
            while load.answered < REQUESTS or restarts < len(HOSTS):
                host = HOSTS[restarts % len(HOSTS)]
                replicas[host].close()  # SIGTERM, and wait for its end
                start(host)
                restarts += 1

    assert load.failed == []
    measured(
        "F-13",
        f"rolling restart behind nginx, 2 replicas, {restarts} restarts, {RATE_PER_S}/s: "
        f"0 of {load.answered} requests failed, the slowest took {load.slowest_s:.2f} s",
    )
