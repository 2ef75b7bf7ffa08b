"""How far the process is in its life, for those who answer requests; it must not know signals, sockets or HTTP."""

from __future__ import annotations

import asyncio

DEVICE_LOST = 70  # the exit code of a process that ends for it, EX_SOFTWARE of sysexits.h: start it again


class Lifetime:
    """Of one app.

    Attributes:
        draining: it was told to stop, and still serves so that those who send requests here can learn of it.
        device_lost: no model will ever run again in this process, which stops for it.
        stands_still: every place is taken, and nothing is answered any more; it may pass.
        stopping: set when no more connections are taken, for answers that would wait for something to happen.
    """

    def __init__(self) -> None:
        self.draining = False
        self.device_lost = False
        self.stands_still = False
        self.stopping = asyncio.Event()

    def lose_device(self) -> None:
        """Note that the device is lost; whoever runs the process ends it."""
        self.device_lost = True

    @property
    def unready(self) -> str | None:
        """Return why nobody should send more requests here, if so."""
        if self.device_lost:
            return "the device is lost: the service ends, to be started again"
        if self.draining:
            return "draining: the service was told to stop"
        if self.stands_still:
            return "standstill: as many requests as may be are being answered, and none gets its answer"
        return None
