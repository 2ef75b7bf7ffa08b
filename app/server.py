"""Runs the service with uvicorn, in one process or several; it must not know what that does, nor import torch."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.settings import Settings

SHUTDOWN_GRACE_S = 25  # what was accepted is finished in this time; less than the 35 s of docker-compose.yml
WELCOME = """
Tabserve on %(address)s
  pages to try it out:  %(address)s/docs
  from a shell:         curl -s %(address)s/predict/iris -H 'content-type: application/json' \\
                          -d '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
"""


def serve(settings: Settings) -> int:
    """Serve until a signal ends it, and return the exit code; with several workers, one that dies is started again.

    Raises:
        SystemExit: with 3 if the address cannot be listened on or the service cannot start.
    """
    config = uvicorn.Config(
        "app.worker:create",  # by name, so that a launcher of several workers need not import torch itself
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="app.wire:DirectProtocol",
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    if settings.workers == 1:
        _hand_on(settings)
        config.load()  # before anything is promised: this is where a device that is not there is found
        with _listening(config, settings) as listener:
            uvicorn.Server(config).run([listener])
        return 0
    with _listening(config, settings) as listener, tempfile.TemporaryDirectory(prefix="tabserve-metrics-") as folder:
        _hand_on(settings.model_copy(update={"metrics_dir": Path(folder)}))
        supervisor = Multiprocess(config, [listener])
        supervisor.run()
        failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
        return STARTUP_FAILURE if failed else 0


@contextlib.contextmanager
def _listening(config: uvicorn.Config, settings: Settings) -> Iterator[socket.socket]:
    with contextlib.closing(config.bind_socket()) as listener:
        print(WELCOME % {"address": f"http://{settings.host}:{listener.getsockname()[1]}"}, flush=True)  # noqa: T201
        yield listener


def _hand_on(settings: Settings) -> None:
    """Put the settings, flags included, where workers read theirs."""
    for name, value in settings:
        if value is not None:
            os.environ[f"TABSERVE_{name.upper()}"] = str(value)
