"""Client of a Tabserve service, published versions without a service, and the command line.

It needs httpx; pandas and pyarrow are used if they are installed. Everything is imported when it is first used, so that
`tabserve --version` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabserve.late import load_name

if TYPE_CHECKING:
    from tabserve.async_client import AsyncClient
    from tabserve.async_resources import AsyncModel, AsyncTraining
    from tabserve.client import Client
    from tabserve.errors import (
        LoadingFailed,
        MissingExtra,
        Problem,
        ServiceError,
        ServiceUnreachable,
        TabserveError,
        TrainingFailed,
        WrongInput,
    )
    from tabserve.local import LocalModel, load
    from tabserve.resources import Model, Training

_HOMES = {
    "AsyncClient": "async_client",
    "AsyncModel": "async_resources",
    "AsyncTraining": "async_resources",
    "Client": "client",
    "LoadingFailed": "errors",
    "LocalModel": "local",
    "MissingExtra": "errors",
    "Model": "resources",
    "Problem": "errors",
    "ServiceError": "errors",
    "ServiceUnreachable": "errors",
    "TabserveError": "errors",
    "Training": "resources",
    "TrainingFailed": "errors",
    "WrongInput": "errors",
    "load": "local",
}

__all__ = [
    "AsyncClient",
    "AsyncModel",
    "AsyncTraining",
    "Client",
    "LoadingFailed",
    "LocalModel",
    "MissingExtra",
    "Model",
    "Problem",
    "ServiceError",
    "ServiceUnreachable",
    "TabserveError",
    "Training",
    "TrainingFailed",
    "WrongInput",
    "load",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tabserve' has no attribute {name!r}")
    return load_name(f"tabserve.{_HOMES[name]}", name)
