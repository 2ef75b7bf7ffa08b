"""The package's only deferred import, so that a command pays only for what it uses; it knows no module's content."""

from __future__ import annotations

import importlib
from typing import Any


def deferred(module: str) -> Any:
    """Import `training.<module>` at the moment that it is needed, and return it.

    torch, scikit-learn and matplotlib take seconds to import; `list`, `recipes`, `activate` and an `ensure` with
    nothing to do need none of them. What comes back is untyped: give it a type where it is called.
    """
    return importlib.import_module(f"training.{module}")
