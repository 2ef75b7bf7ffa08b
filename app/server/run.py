"""Run the service in one process or in several workers.

Must not know what the service does. The supervisor of several workers never imports torch.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from pydantic_settings import SecretsSettingsSource

from app.server import listener
from app.server.shutdown import DrainingServer, ServerBeside
from app.server.signals import NotedSignals
from app.server.supervisor import Supervisor
from app.server.watchdog import Watchdog, start_again
from app.settings import Settings
from app.telemetry.logs.setup import for_people

logger = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 25.0  # time to finish accepted requests; less than the 35 s of docker-compose.yml
WORKER = "worker"  # `python -m app worker` is how the supervisor starts each of several workers
WELCOME = """
Tabserve on %(address)s
  to train and predict in a browser:  %(address)s/
  the routes, to try them out:        %(address)s/docs
  the models, from a shell:           curl -s %(address)s/models
"""


def serve(settings: Settings, bound: socket.socket) -> int:
    """Serve until a signal stops the service, and return the exit code; a worker that dies is started again.

    Raises:
        SystemExit: with 3 if the service cannot start.
    """
    welcome = partial(_welcome, settings, bound.getsockname()[1])
    if settings.workers > 1:
        return _supervise(settings, bound, welcome)
    _hand_on(settings)
    watchdog = Watchdog(settings.hung_after_s, partial(start_again, bound))
    server = _server(settings, watchdog=watchdog)  # before the welcome, so that a missing device stops the start
    welcome()
    server.run([bound])
    return server.exit_code


def work(descriptor: int, supervisor: int) -> int:
    """Run one of several workers and return the exit code, given the descriptors of listener and heartbeat pipe."""
    with socket.socket(fileno=descriptor) as bound:
        os.set_inheritable(supervisor, False)
        bound.set_inheritable(False)
        server = _server(Settings(), supervisor=supervisor)
        server.run([bound])
        return server.exit_code


def _server(settings: Settings, *, supervisor: int | None = None, watchdog: Watchdog | None = None) -> DrainingServer:
    config = uvicorn.Config(
        "app.server.worker:create",  # by name, so that the supervisor of several workers does not import torch
        factory=True,
        loop="uvloop",
        http="app.server.fast_path.protocol:DirectProtocol",
        ws="none",
        log_config=None,  # uvicorn's records go to the service's own log
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
    )
    config.load()
    lifetime = config.loaded_app.lifetime
    return DrainingServer(
        config,
        lifetime,
        drain_s=settings.drain_s,
        grace_s=SHUTDOWN_GRACE_S,
        supervisor=supervisor,
        watchdog=watchdog,
        beside=_grpc_server(settings, config.loaded_app),
    )


def _grpc_server(settings: Settings, app: Any) -> ServerBeside | None:
    if settings.grpc_port is None:
        return None
    from app.server.rpc.server import GrpcServer  # noqa: PLC0415 - an extra, and not before the app's last fork

    return GrpcServer(app, settings, settings.grpc_port, app.admission.recognise)


def _supervise(settings: Settings, bound: socket.socket, welcome: partial[None]) -> int:
    def start(pipe: int) -> subprocess.Popen[bytes]:
        """Start a worker that reports through the pipe."""
        descriptors = (bound.fileno(), pipe)
        return subprocess.Popen([sys.executable, "-m", "app", WORKER, *map(str, descriptors)], pass_fds=descriptors)

    def refuse() -> None:
        """Refuse new connections from now on."""
        listener.refuse_new(bound)
        bound.close()

    with NotedSignals() as signals, tempfile.TemporaryDirectory(prefix="tabserve-metrics-") as folder:
        _hand_on(settings.model_copy(update={"metrics_dir": Path(folder)}))
        return Supervisor(
            start,
            settings.workers,
            first_serves=welcome,
            refuse=refuse,
            drain_s=settings.drain_s,
            grace_s=SHUTDOWN_GRACE_S,
            silent_s=settings.hung_after_s,
        ).run(signals)


def _welcome(settings: Settings, port: int) -> None:
    address = listener.url(settings.host, port)
    if for_people(settings):
        print(WELCOME % {"address": address}, flush=True)  # noqa: T201
    else:
        logger.info("listening on %s", address)


def _hand_on(settings: Settings) -> None:
    """Put the settings, flags included, into the environment for workers, except those they read from secret files."""
    secret = SecretsSettingsSource(Settings)() if Settings.model_config.get("secrets_dir") else {}
    for name, value in settings:
        variable = f"TABSERVE_{name.upper()}"
        if value is not None and (variable in os.environ or secret.get(name) != str(value)):
            os.environ[variable] = str(value)
