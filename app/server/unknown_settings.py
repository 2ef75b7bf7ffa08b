"""Find settings that do not exist: flags are refused, variables are named in a warning.

A variable is not refused, because it may be meant for another program or another version.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.errors import ConfigurationError
from app.settings import Settings

PREFIX = "TABSERVE_"

_ELSEWHERE = frozenset(f"{PREFIX}{name}" for name in ("API_KEY", "LISTENER", "LIVES", "PYTHON", "TORCH_BACKEND"))
"""Of the command line, the listener and the restarts that a service inherits, and `scripts/install`."""

_OF_KUBERNETES = re.compile(r"TABSERVE_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP)\w*)")
"""Set in every container beside a Service whose name begins with tabserve."""


def describe_unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence about each variable that begins like a setting and is none, with the nearest one."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known | _ELSEWHERE and not _OF_KUBERNETES.fullmatch(name):
            yield f"the variable {name} is no setting and has no effect{_nearest(name, known, PREFIX)}"


def require_known_flags(arguments: Sequence[str]) -> None:
    """Refuse a flag that is no setting; a unique beginning of a flag stands for it.

    Raises:
        ConfigurationError: naming the flag and the nearest one.
    """
    names = [name.replace("_", "-") for name in Settings.model_fields]
    known = {"-h", "--help", *(f"--{name}" for name in names), *(f"--no-{name}" for name in names)}
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and not any(each.startswith(flag) for each in known):
            raise ConfigurationError(f"{flag} is no setting{_nearest(flag, known, '--')} (--help lists all)")


def _nearest(name: str, known: Iterable[str], prefix: str) -> str:
    """Return a question with the known name that is most like this one, behind their common prefix."""
    names = sorted(each.removeprefix(prefix) for each in known)
    found = difflib.get_close_matches(name.removeprefix(prefix), names, n=1)
    return f"; did you mean {prefix}{found[0]}?" if found else ""
