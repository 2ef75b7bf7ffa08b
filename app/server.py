"""Runs the service with uvicorn, in one process or several; it must not know what the service does."""

from __future__ import annotations

import gc
import logging
import tempfile
from functools import partial
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.main import create_app
from app.settings import Settings
from app.wire import DirectProtocol

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
WELCOME = """
Tabserve on %(address)s
  pages to try it out:  %(address)s/docs
  from a shell:         curl -s %(address)s/predict/iris -H 'content-type: application/json' \\
                          -d '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
"""


def serve(settings: Settings) -> None:
    """Serve until a signal ends it; with several workers, one that dies is started again.

    Raises:
        SystemExit: with 3 if the address cannot be listened on.
    """
    if settings.workers == 1:
        config = _config(settings)
        socket = config.bind_socket()
        _welcome(settings, socket.getsockname()[1])
        uvicorn.Server(config).run([socket])
        return
    with tempfile.TemporaryDirectory(prefix="tabserve-metrics-") as folder:
        config = _config(settings.model_copy(update={"metrics_dir": Path(folder)}))
        socket = config.bind_socket()
        _welcome(settings, socket.getsockname()[1])
        Multiprocess(config, [socket]).run()


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        partial(_worker_app, settings),  # called in each worker, which spawning starts without our state
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=DirectProtocol,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


def _worker_app(settings: Settings) -> object:
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    app = create_app(settings)
    gc.freeze()  # what is imported stays: the collector, off while importing, need not look at it again and again
    gc.enable()
    return app


def _welcome(settings: Settings, port: int) -> None:
    print(WELCOME % {"address": f"http://{settings.host}:{port}"}, flush=True)  # noqa: T201 - for the person who started it
