"""uvicorn's server with a staged shutdown: drain, refuse connections, finish requests, exit.

A signal makes readiness fail at once. During the drain delay the server works as before, but each response is the last
on its connection, so that clients reconnect and reach another process. Then new connections are refused, accepted
requests are answered, and the app closes. This module must not know models.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

import uvicorn

from app.lifecycle import DEVICE_LOST, Lifetime
from app.server.listener import SETTLE_S, has_waiting, refuse_new
from app.server.signals import STOPPING, leave
from app.server.watchdog import Watchdog

logger = logging.getLogger(__name__)

_TICK_S = 0.05
_ACCEPT_S = 1.0  # upper bound, because other workers may go on accepting from the same socket


class ServerBeside(Protocol):
    """A server of another protocol for the same app, in the same event loop."""

    async def start(self) -> None:
        """Accept calls."""

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls at once, and cut what is not answered after `grace_s`."""


class DrainingServer(uvicorn.Server):
    """uvicorn's server with a shutdown in stages; see the module docstring."""

    def __init__(
        self,
        config: uvicorn.Config,
        lifetime: Lifetime,
        *,
        drain_s: float,
        grace_s: float,
        supervisor: int | None = None,
        watchdog: Watchdog | None = None,
        beside: ServerBeside | None = None,
    ) -> None:
        """Configure the server.

        Args:
            config: uvicorn's configuration, with the app loaded.
            lifetime: lifetime of that app.
            drain_s: how long to go on serving after a signal; SIGINT, which people send, skips it.
            grace_s: how long accepted requests may take after that.
            supervisor: descriptor of a pipe to the process that started this one and owns the listener. A byte is
                written to it every second; if the pipe is closed, this server stops. None if there is no supervisor.
            watchdog: checks that the event loop runs, where there is no supervisor to do so.
            beside: starts once the app has started, and stops with this server.
        """
        super().__init__(config)
        self._lifetime = lifetime
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._supervisor = supervisor
        self._watchdog = watchdog
        self._beside = beside
        self._leave_at: float | None = None
        self._told: set[Any] = set()

    @property
    def exit_code(self) -> int:
        """Exit code of the process."""
        return DEVICE_LOST if self._lifetime.device_lost else 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals from now on; uvicorn's own method raises them again at the end and changes the exit code."""
        for number in STOPPING:
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; exit at once if the server has not started yet, or at the second signal.

        Under a supervisor, the supervisor counts the signals: a worker may get both the signal sent to the process
        group and the supervisor's.
        """
        if not self.started:
            leave(sig)
        if self._leave_at is None:
            self._begin(0 if sig == signal.SIGINT else self._drain_s)
        elif self._supervisor is None:
            leave(sig)

    async def on_tick(self, counter: int) -> bool:
        """Send the heartbeats and tell uvicorn whether to stop; called ten times a second."""
        await super().on_tick(counter)
        if self._watchdog:
            self._watchdog.show_life()
        if counter % 10 == 0:
            self._show_life()
        if self._lifetime.device_lost and self._leave_at is None:
            logger.critical("the device is lost: this process ends with exit code %d", DEVICE_LOST)
            self._begin(0)
        if self._leave_at is None:
            return False
        return time.monotonic() >= self._leave_at

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then accept connections."""
        await super().startup(sockets)
        if self._beside and self.started:
            await self._beside.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, finish accepted requests and close the app."""
        logger.info("no more connections are taken; what was asked is answered")
        listeners = sockets or []
        await self._stop_listening(listeners)
        self._lifetime.stopping.set()
        self._told.clear()
        stopping = asyncio.create_task(self._stop_beside())
        try:
            async with asyncio.timeout(self._grace_s):
                while self.server_state.connections or self.server_state.tasks:
                    self._tell_connections("shutdown")
                    await asyncio.sleep(_TICK_S)
        except TimeoutError:
            logger.error("%d connections are cut after %g s", len(self.server_state.connections), self._grace_s)
            for connection in list(self.server_state.connections):
                connection.transport.abort()  # else their requests would be answered 500
            await asyncio.sleep(_TICK_S)
        await stopping
        await self.lifespan.shutdown()

    async def _stop_beside(self) -> None:
        if self._beside:
            await self._beside.stop(self._grace_s)

    def _begin(self, delay_s: float) -> None:
        """Fail readiness and schedule the stop after `delay_s`; may run between any two steps of the event loop."""
        self._lifetime.draining = True
        if self._watchdog:
            self._watchdog.rest()
        self._leave_at = time.monotonic() + delay_s
        asyncio.get_running_loop().call_soon_threadsafe(self._tell_connections, "drain")

    async def _stop_listening(self, listeners: list[socket.socket]) -> None:
        if self._supervisor is None:  # else the supervisor refuses; other workers may go on
            for listener in listeners:
                refuse_new(listener)
        await asyncio.sleep(SETTLE_S)
        last = time.monotonic() + _ACCEPT_S
        while any(map(has_waiting, listeners)) and time.monotonic() < last:  # noqa: ASYNC110 - the kernel knows
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()

    def _tell_connections(self, what: str) -> None:
        for connection in self.server_state.connections - self._told:
            getattr(connection, what)()
            self._told.add(connection)

    def _show_life(self) -> None:
        """Send a heartbeat to the supervisor; if it is gone, stop: only it could restart or stop this process."""
        if self._supervisor is None:
            return
        try:
            os.write(self._supervisor, b".")
        except BlockingIOError:
            pass  # the supervisor is suspended and the pipe is full
        except OSError:
            if self._leave_at is None:
                logger.error("the process that started this one is gone, so this one stops, too")
                self._begin(self._drain_s)
