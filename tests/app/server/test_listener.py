"""The listener: bound for children, refused without losing connections."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from app.errors import ConfigurationError
from app.server.listener import HANDED_ON, bind_listener, has_waiting, refuse_new, take_over_listener, url
from tests.app.waiting import until
from tests.processes import PROJECT, free_port


@pytest.mark.slow
def test_address_in_use_ends_the_start_with_3(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        starts = [start(tmp_path / workers, "--port", port, "--workers", workers) for workers in ("1", "2")]
        errors = [process.communicate(timeout=300)[1].decode() for process in starts]

    assert [process.returncode for process in starts] == [3, 3]
    assert all("Address already in use" in error for error in errors)
    assert not any("Traceback" in error for error in errors)


def start(folder: Path, *arguments: str) -> Popen[bytes]:
    """Start a service that is not waited for."""
    folders = ["--models-dir", str(folder / "models"), "--state-dir", str(folder / "state")]
    command = [sys.executable, "-m", "app", *arguments, *folders, "--device", "cpu"]
    return Popen(command, stdout=PIPE, stderr=PIPE, cwd=PROJECT)


def test_bound_socket_can_be_inherited_and_does_not_listen_yet() -> None:
    with bind_listener("127.0.0.1", 0) as listener, socket.socket() as client:
        assert listener.get_inheritable()
        with pytest.raises(ConnectionRefusedError):
            client.connect(listener.getsockname())


def test_address_that_cannot_be_bound_is_refused_with_the_names_of_the_settings() -> None:
    port = free_port()
    with bind_listener("127.0.0.1", port) as taken:
        taken.listen()
        with pytest.raises(ConfigurationError, match=f"TABSERVE_HOST=127.0.0.1, TABSERVE_PORT={port}: Address already"):
            bind_listener("127.0.0.1", port)
    with pytest.raises(ConfigurationError, match=r"TABSERVE_HOST=192\.0\.2\.1, TABSERVE_PORT=0: "):
        bind_listener("192.0.2.1", 0)
    with pytest.raises(ConfigurationError, match="it is no name of a host"):
        bind_listener("ü..test", 0)


def test_listener_is_taken_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind_listener("127.0.0.1", 0) as listener:
        monkeypatch.setenv(HANDED_ON, str(os.dup(listener.fileno())))

        taken = take_over_listener()

        assert taken is not None
        with taken:
            assert taken.getsockname() == listener.getsockname()
        assert take_over_listener() is None


def test_address_of_ipv6_stands_in_brackets() -> None:
    assert (url("127.0.0.1", 80), url("::1", 80)) == ("http://127.0.0.1:80", "http://[::1]:80")


def test_connection_that_waits_is_kept_when_new_ones_are_refused() -> None:
    with bind_listener("127.0.0.1", 0) as listener, socket.socket() as early, socket.socket() as late:
        listener.listen()
        assert not has_waiting(listener)
        early.connect(listener.getsockname())
        until(lambda: has_waiting(listener), "the connection waits to be accepted")

        refuse_new(listener)
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())

        accepted, peer = listener.accept()
        accepted.close()
        assert peer == early.getsockname()
