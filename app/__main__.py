"""`python -m app`: reads the settings, trains what is missing if asked, and serves; `python -m app keys` manages keys.

Exit code 3 means bad settings, said in one line.
"""

from __future__ import annotations

import gc
import subprocess
import sys

gc.disable()  # looking for garbage among what is imported costs a fifth of the start; app.worker turns it on again

from pydantic import ValidationError
from pydantic_settings import CliApp

from app.access import keycommand
from app.access.exposure import check_exposure
from app.errors import ConfigurationError
from app.server import serve
from app.settings import Settings
from app.trainer import training_command

BAD_SETTINGS = 3


def main() -> int:
    """Run the service until it is stopped, or the command about keys, and return the exit code."""
    if sys.argv[1:2] == ["keys"]:
        return keycommand.main(sys.argv[2:])
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = "_".join(str(part) for part in fault["loc"])
        reason = f"TABSERVE_{name.upper()}={fault['input']!r}: {fault['msg'].lower()}"
        print(f"tabserve: {reason}", file=sys.stderr)  # noqa: T201 - the one line an operator is to see
        return BAD_SETTINGS
    try:
        check_exposure(settings)
    except ConfigurationError as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - likewise
        return BAD_SETTINGS
    if settings.train_missing and (code := subprocess.call(training_command(settings, "ensure"))):
        return code
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
