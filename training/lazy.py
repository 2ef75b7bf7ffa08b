"""The package's only deferred import, so that each command imports only what it uses."""

from __future__ import annotations

import importlib
from typing import Any


def load_module(module: str) -> Any:
    """Import and return `training.<module>`.

    torch, scikit-learn and matplotlib take seconds to import; `list`, `recipes`, `activate` and an `ensure` with
    nothing to do need none of them. SQLAlchemy takes half a second, which only searches need. The returned module is
    untyped: annotate the results at the call.
    """
    return importlib.import_module(f"training.{module}")
