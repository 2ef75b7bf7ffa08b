"""The container's health check: needs no key, gives its reason, fails during the drain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import free_port, service

CHECK = [sys.executable, "-W", "error", "-m", "app.server.healthcheck"]


def check(port: int | None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"TABSERVE_PORT": str(port), **variables}
    return subprocess.run(CHECK, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_it_fails_in_one_line_where_nothing_listens() -> None:
    done = check(free_port())

    assert done.returncode == 1
    assert done.stderr.startswith("not ready: ")
    assert done.stderr.count("\n") == 1


def test_it_fails_in_one_line_where_the_port_is_none() -> None:
    done = check(None, TABSERVE_PORT="tcp://10.96.0.7:8000")

    assert done.returncode == 1
    assert done.stderr.startswith("not ready: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_it_asks_where_the_service_listens_and_an_address_of_ipv6_is_printed_as_one_can_use_it(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with service(tmp_path, address=("[::1]", free_port())) as (client, _):
        port = client.base_url.port
        said = f"listening on http://[::1]:{port}"
        until(lambda: said in (tmp_path / "service.log").read_text(), "the line of the log")
        checks = [check(port, TABSERVE_HOST=host).returncode for host in ("[::1]", "::1", "::", "127.0.0.1")]

    assert checks == [0, 0, 0, 1]


@pytest.mark.slow
def test_it_fails_while_no_model_serves(tmp_path: Path) -> None:
    with service(tmp_path, ready=False) as (client, _):
        assert check(client.base_url.port).returncode == 1
        publish(ModelRepository(tmp_path / "models"))
        until(lambda: check(client.base_url.port).returncode == 0, "the model serves")


@pytest.mark.slow
def test_it_needs_no_key_and_fails_as_soon_as_the_service_drains(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    keys = KeyFile(tmp_path / "keys.json")
    keys.create(frozenset(Scope), None, "")
    environment = {"TABSERVE_KEYS_FILE": str(keys.path), "TABSERVE_DRAIN_S": "600"}
    with service(tmp_path, environment=environment) as (client, process):
        assert check(client.base_url.port).returncode == 0
        nobody = f"http://127.0.0.1:{free_port()}"
        assert check(client.base_url.port, HTTP_PROXY=nobody, http_proxy=nobody, all_proxy=nobody).returncode == 0

        process.terminate()
        until(lambda: client.get("/readyz").status_code == 503, "the drain")
        draining = check(client.base_url.port)
        assert (draining.returncode, "503" in draining.stderr) == (1, True)
        assert client.post("/predict/means", json={"instances": [[0, 1]]}).status_code == 401  # it still answers
        process.terminate()  # a second signal: do not wait
        assert process.wait(120) is not None
