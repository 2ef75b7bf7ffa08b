"""Check the gRPC port before the service starts; grpcio is imported after the last fork."""

from __future__ import annotations

import importlib.util

from app.errors import ConfigurationError
from app.server.listener import bind_listener
from app.settings import Settings


def require_grpc(settings: Settings) -> None:
    """Check that gRPC can be served, if a port for it is set.

    Raises:
        ConfigurationError: if grpcio is not installed or the port is in use.
    """
    if settings.grpc_port is None:
        return
    if importlib.util.find_spec("grpc") is None:
        raise ConfigurationError("TABSERVE_GRPC_PORT needs grpcio: pip install 'tabserve[grpc]'")
    bind_listener(settings.host, settings.grpc_port, "TABSERVE_GRPC_PORT").close()
