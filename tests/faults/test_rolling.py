"""F-13 behind nginx: replicas are restarted one by one, and no request fails."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.deployed import nginx
from tests.fakes import publish
from tests.faults.clients import Load
from tests.nameserver import NameServer
from tests.processes import free_port, service
from tests.promises import LONG

HOSTS = ("127.0.0.2", "127.0.0.3")
REQUESTS = 20_000 if LONG else 700
RATE_PER_S = 190  # nginx accepts 200 from one address
ENVIRONMENT = {"TABSERVE_DRAIN_S": "5" if LONG else "1", "TABSERVE_ANONYMOUS": "predict"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200 if LONG else 240),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]


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
        load = Load(stack.enter_context(nginx(tmp_path, f"http://api:{port}", resolver=names.address)), RATE_PER_S)
        with load.running():
            while load.answered < REQUESTS or restarts < len(HOSTS):
                host = HOSTS[restarts % len(HOSTS)]
                replicas[host].close()  # SIGTERM, and wait for its end
                start(host)
                restarts += 1

    assert load.failures == []
    measured(
        "F-13",
        f"rolling restart behind nginx, 2 replicas, {restarts} restarts, {RATE_PER_S}/s: "
        f"0 of {load.answered} requests failed, the slowest took {load.slowest_s:.2f} s",
    )
