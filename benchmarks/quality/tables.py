"""The tables: of ../shared/tables, with published figures, and of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from benchmarks.quality import published
from modelstore import DataOptions
from tests.realtables import FOLDER, OPTIONS, TARGETS

TARGET = "target"
LOADERS: dict[str, Callable[..., Any]] = {
    "iris": load_iris,
    "wine": load_wine,
    "diabetes": load_diabetes,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}
"""Tables of scikit-learn, by the name that they have here."""

USUAL = (*LOADERS, *TARGETS)
"""The tables of docs/quality.md, but for those with published figures."""


class Table(NamedTuple):
    """A table on the disk.

    Attributes:
        path: the file.
        target: the column to predict.
        options: what else has to be said about it.
    """

    path: Path
    target: str
    options: DataOptions


class UnknownTable(Exception):
    """There is no table of this name; the message lists those that there are."""


def names(wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of the tables, small files first; by default those of ../shared/tables and of scikit-learn.

    Raises:
        UnknownTable: if one is wanted that is not there.
    """
    sizes = {name: len(_content(name)) for name in LOADERS}
    sizes |= {name: (FOLDER / name).stat().st_size for name in TARGETS if (FOLDER / name).is_file()}
    usual = tuple(sizes)
    sizes |= {name: (published.FOLDER / name).stat().st_size for name in published.available() if name not in sizes}
    for name in wanted:
        if name not in sizes:
            raise UnknownTable(
                f"{name!r} is no table here; there are {', '.join(sizes)}; files are read from {FOLDER} and "
                f"{published.FOLDER}"
            )
    return tuple(sorted(tuple(wanted) or usual, key=lambda name: (sizes[name], name)))


def find(name: str, folder: Path) -> Table:
    """Return the table of a name; one of scikit-learn is written into the folder."""
    if name in published.GOALS and name not in TARGETS:
        return Table(published.FOLDER / name, published.GOALS[name].target, DataOptions())
    if name not in LOADERS:
        return Table(FOLDER / name, TARGETS[name], DataOptions.model_validate(OPTIONS.get(name, {})))
    path = folder / f"{name}.csv"
    path.write_bytes(_content(name))
    return Table(path, TARGET, DataOptions())


def _content(name: str) -> bytes:
    """Return a table of scikit-learn as CSV, in the units of its source."""
    units = {"scaled": False} if name == "diabetes" else {}
    frame = LOADERS[name](as_frame=True, **units).frame
    if name != "diabetes":
        frame[TARGET] = [f"class {number}" for number in frame[TARGET]]
    content: bytes = frame.to_csv(index=False, lineterminator="\n").encode()
    return content
