"""The package's only deferred imports: of optional packages, and of what starts slowly."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from tabserve.errors import MissingExtra


def load_name(module: str, name: str) -> Any:
    """Import a module and return what it calls `name`."""
    return getattr(importlib.import_module(module), name)


def has(package: str) -> bool:
    """Return whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def load_optional(module: str, extra: str, purpose: str) -> Any:
    """Import and return a module that an extra installs; it is untyped, so annotate results at the call.

    Args:
        module: name of the module.
        extra: extra of this package that installs it, or a package of its own.
        purpose: what it is needed for, in words.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(purpose, extra) from error
