"""Stop the event loop of services started with this folder in PYTHONPATH, on a signal.

Python imports this by its name at its start. SIGUSR1 puts the main thread into a loop of Python, SIGUSR2 into one of a
program of torch, which runs without the interpreter's lock, as a version's would.
"""

from __future__ import annotations

import signal

ENDLESS = """
def run(turns: int) -> int:
    while turns > 0:
        turns = turns % 7 + 1
    return turns
"""


def _in_python(*_: object) -> None:
    while True:
        pass


def _in_torch(*_: object) -> None:
    import torch  # noqa: PLC0415 - the service has imported it by then

    torch.jit.CompilationUnit(ENDLESS).run(1)


signal.signal(signal.SIGUSR1, _in_python)
signal.signal(signal.SIGUSR2, _in_torch)
