"""The gRPC server of one process; several processes share its port.

Every call becomes a request to the app, so keys, limits, deadlines, logs and metrics are those of HTTP.
"""

from __future__ import annotations

import logging
from typing import Any

import grpc

from app.errors import ConfigurationError
from app.server.rpc.calls import Calls, Recognise
from app.server.rpc.receiving import Receiver
from app.server.rpc.request import App
from app.settings import Settings

logger = logging.getLogger(__name__)

_ENVELOPE_BYTES = 64 << 10  # of a message beyond its tensors, so that the app itself refuses a body that is too large


class GrpcServer:
    """The server; see the module docstring.

    Attributes:
        port: TCP port; after the start never 0.
    """

    def __init__(self, app: App, settings: Settings, port: int, recognise: Recognise) -> None:
        """Create it; `recognise` tells whether the caller may predict, before the message is received."""
        self.port = port
        self._app = app
        self._recognise = recognise
        self._settings = settings
        self._address = f"[{settings.host}]:{port}" if ":" in settings.host else f"{settings.host}:{port}"
        self._server: Any = None

    async def start(self) -> None:
        """Accept calls.

        Raises:
            ConfigurationError: if the port cannot be used.
        """
        settings = self._settings
        most_bytes = settings.max_body_bytes + _ENVELOPE_BYTES
        server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", int(settings.workers > 1)),
                ("grpc.max_receive_message_length", most_bytes),
                ("grpc.max_send_message_length", -1),  # the app limits answers by their rows
                ("grpc.max_metadata_size", settings.max_header_bytes),
                ("grpc.http2.bdp_probe", 0),  # else it takes whole messages that nothing has asked for
                ("grpc.max_allowed_incoming_connections", settings.max_connections),
                ("grpc.max_connection_idle_ms", settings.keep_alive_s * 1000),
                ("grpc.server_handshake_timeout_ms", int(settings.receive_timeout_s * 1000)),
            ),
            maximum_concurrent_rpcs=settings.max_in_flight,
        )
        calls = Calls(self._app, self._recognise, Receiver(settings, most_bytes))
        server.add_generic_rpc_handlers((calls.handlers(),))
        try:
            self.port = server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise ConfigurationError(f"gRPC cannot listen on {self._address}; choose another port") from error
        await server.start()
        self._server = server
        logger.info("gRPC is served on %s", self._address)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls at once, and cut what is not answered after `grace_s`."""
        if self._server is not None:
            await self._server.stop(grace_s)
