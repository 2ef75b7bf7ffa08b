"""`python -m app`: read the settings, train demonstration models if asked to, and serve.

`python -m app keys` manages keys and `python -m app audit` checks audit files. Wrong settings end the process with exit
code 3 and one line on standard error.
"""

from __future__ import annotations

from app.server import signals

if __name__ == "__main__":
    signals.leave_when_told()  # before the slow imports, and until there is something to finish

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
from types import FrameType

gc.disable()  # collecting during imports costs a fifth of the start time; server.worker enables it again

from pydantic import ValidationError
from pydantic_settings import CliApp

from app.errors import ConfigurationError
from app.jobs.process.child import plain
from app.jobs.process.commands import training_command
from app.registry.store import read_signing_key
from app.security import keys_command
from app.security.audit import command as auditcommand
from app.security.hosts import check_exposure
from app.server.listener import bind_listener, take_over_listener
from app.server.rpc.port import require_grpc
from app.server.run import WORKER, serve, work
from app.server.scratch import use_scratch
from app.server.unknown_settings import describe_unknown_variables, require_known_flags
from app.settings import Settings
from app.telemetry.logs.setup import configure, for_people, log_all

logger = logging.getLogger(__name__)

BAD_SETTINGS = 3


def main() -> int:
    """Run the service until it is stopped, or the `keys` or `audit` command, and return the exit code."""
    if sys.argv[1:2] == ["keys"]:
        return keys_command.main(sys.argv[2:])
    if sys.argv[1:2] == ["audit"]:
        return auditcommand.main(sys.argv[2:])
    if sys.argv[1:2] == [WORKER]:
        return work(*map(int, sys.argv[2:]))
    try:
        require_known_flags(sys.argv[1:])
        settings = _settings()
        check_exposure(settings)
        require_grpc(settings)
        read_signing_key(settings)
        configure(settings)
        for warning in describe_unknown_variables(os.environ):
            logger.warning("%s", warning)
        use_scratch(settings)
        former = take_over_listener()
        with contextlib.closing(former or bind_listener(settings.host, settings.port)) as listener:
            if settings.demo and not former and (code := _train_demo(settings)):
                return code
            return serve(settings, listener)
    except ConfigurationError as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - the one line an operator is to see
        return BAD_SETTINGS


def _settings() -> Settings:
    """Read the settings from flags and environment variables.

    Raises:
        ConfigurationError: naming the first wrong setting.
    """
    try:
        return CliApp.run(Settings)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name, said = "_".join(str(part) for part in fault["loc"]), fault["msg"]
        raise ConfigurationError(f"TABSERVE_{name.upper()}={fault['input']!r}: {said[:1].lower()}{said[1:]}") from error


def _train_demo(settings: Settings) -> int:
    """Train demonstration models and return the exit code; a signal ends the training first, then this process.

    Raises:
        ConfigurationError: if the training cannot be started now.
    """
    received: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        """Pass the signal on to the training: the first ends it, the second kills it."""
        for training in running:
            training.send_signal(signal.SIGKILL if received else signal.SIGTERM)
        received.append(number)

    for number in signals.STOPPING:
        signal.signal(number, stop)
    output, errors = (None, None) if for_people(settings) else (subprocess.PIPE, subprocess.STDOUT)
    try:
        started = subprocess.Popen(training_command(settings, "ensure"), stdout=output, stderr=errors)
    except OSError as error:
        problem = f"no process can be started now ({error.strerror})"
        raise ConfigurationError(f"the demonstration models cannot be trained: {problem}") from error
    with started as training:
        running.append(training)
        if received:  # the signal came while the training was being started
            training.terminate()
        for line in filter(None, map(plain, training.stdout or ())):
            logger.info("training: %s", line)
        code = training.wait()
    if received:
        signals.leave(received[0])
    signals.leave_when_told()
    return code


def _end(code: int) -> None:
    """End the process with this code, without waiting for threads whose results are no longer needed."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    log_all()
    _end(main())
