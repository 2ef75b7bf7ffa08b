"""What a service keeps of a version: model card, plots and artifact; nothing is sent here.

Each function is one operation of a model, as in `tabserve/steps.py`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from tabserve.errors import TabserveError
from tabserve.exchange import Call, Json, Steps, ask, get, path_of, require_ok
from tabserve.steps import serving

CardFormat = Literal["json", "html", "markdown"]


def card(model: str, version: int | None, form: CardFormat) -> Steps[Any]:
    """Return the model card of a version; see `Model.card`."""
    call = Call("GET", (yield from _path(model, version, "card")), {"format": form}, repeat="always")
    return (yield from ask(call)) if form == "json" else require_ok((yield call)).text


def plots(model: str, version: int | None) -> Steps[dict[str, list[str]]]:
    """Return the names of the plots of a version; see `Model.plots`."""
    call = Call("GET", (yield from _path(model, version, "plots")), repeat="always")
    listed = yield from ask(call)
    return {kind: [one["name"] for one in listed[kind]] for kind in ("plots", "data")}


def plot(model: str, name: str, version: int | None) -> Steps[bytes]:
    """Return a plot as PNG."""
    path = yield from _path(model, version, "plots", f"{name}.png")
    return require_ok((yield Call("GET", path, repeat="always"))).content


def plot_data(model: str, name: str, version: int | None) -> Steps[Json]:
    """Return what a plot shows."""
    path = yield from _path(model, version, "plots", f"{name}.json")
    return (yield from ask(Call("GET", path, repeat="always")))


def download(model: str, to: Path, version: int | None) -> Steps[Path]:
    """Write the artifact of a version to a file; see `Model.download`.

    Raises:
        TabserveError: if it is not the file that was published.
    """
    number = version or (yield from serving(model))["serving_version"]
    manifest = yield from get("models", model, "versions", number)
    path = path_of("models", model, "versions", number, "model.pt")
    content = require_ok((yield Call("GET", path, repeat="always"))).content
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        raise TabserveError(f"model.pt of {model} version {number} did not arrive as it was published; ask again")
    to.write_bytes(content)
    return to


def _path(model: str, version: int | None, *parts: str) -> Steps[str]:
    """Return a path of a version; None is the serving one."""
    number = version or (yield from serving(model))["serving_version"]
    return path_of("models", model, "versions", number, *parts)
