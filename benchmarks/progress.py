"""Report the current step at least every two seconds.

It must not know what is measured.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

EVERY_S = 1.8


class Progress:
    """Prints a line when something new begins, and again while it lasts; a thread that wakes twice in four seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = 0.0
        self._text = "starting"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def say(self, text: str) -> None:
        """Print what begins now."""
        self._text = text
        self._print(text)

    def _repeat(self) -> None:
        while not self._over.wait(max(0.05, self._said + EVERY_S - time.monotonic())):
            if time.monotonic() - self._said >= EVERY_S:
                self._print(f"{self._text} ...")

    def _print(self, text: str) -> None:
        self._said = time.monotonic()
        sys.stderr.write(f"{self._said - self._began:6.1f} s  {text}\n")
        sys.stderr.flush()
