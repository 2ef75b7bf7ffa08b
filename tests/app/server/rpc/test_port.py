"""The gRPC port is checked before the service starts."""

from __future__ import annotations

import socket

import pytest

from app.errors import ConfigurationError
from app.server.rpc.port import require_grpc
from app.settings import Settings


def test_port_in_use_is_refused_by_the_name_of_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=r"TABSERVE_GRPC_PORT=\d+: Address already in use"):
            require_grpc(Settings(grpc_port=taken.getsockname()[1]))


def test_service_without_grpcio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    require_grpc(Settings())
    with pytest.raises(ConfigurationError, match=r"pip install 'tabserve\[grpc\]'"):
        require_grpc(Settings(grpc_port=8001))
