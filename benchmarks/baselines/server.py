"""Run a baseline as carefully as Tabserve runs: uvloop, httptools, no access log."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import Receive, Scope, Send


def serve(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
    """Serve on the port that BENCH_PORT names until stopped."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
