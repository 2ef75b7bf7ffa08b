"""Keep the answers of finished parts, so that an interrupted run goes on where it was.

A part is finished once its record is there; it is written last, and both are on the disk then.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import ScoringError
from app.scoring.plan import ENGINE
from modelstore import disk

_PLAN = "plan.json"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class FinishedPart:
    """A finished part.

    Attributes:
        rows: number of its rows.
        bad: number of rows with a problem in place of an answer.
        problems: the first of them, in words.
        head_bytes: bytes of its answers before the first row.
    """

    rows: int
    bad: int
    problems: tuple[str, ...]
    head_bytes: int


class PartFiles:
    """The folder of a run that is not finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder, and keep other runs from it.

        Raises:
            ScoringError: if another run has it, or it is something else, whose files are not to be removed.
        """
        self.folder.mkdir(exist_ok=True)
        if any(self.folder.iterdir()) and not (self.folder / _LOCK).exists():
            raise ScoringError(f"{self.folder}: is needed for unfinished parts, but holds other files; move them away")
        with (self.folder / _LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ScoringError(
                    f"{self.folder}: another run writes this output now; wait until it has ended"
                ) from None
            yield

    def plan(self) -> dict[str, Any] | None:
        """Return the plan of the run that has begun here, if any has."""
        return read_record(self.folder / _PLAN, ENGINE)

    def list_finished(self) -> list[Path]:
        """Return the records of the parts that are finished."""
        return sorted(self.folder.glob("[0-9]*.json"))

    def begin(self, plan: dict[str, Any]) -> None:
        """Forget what is here, and write the plan of a new run."""
        (self.folder / _PLAN).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        disk.replace(self.folder / _PLAN, json.dumps(plan, indent=2).encode())

    def answers(self, number: int) -> Path:
        """Return the file of the answers of a part."""
        return self.folder / f"{number:08d}.answers"

    def find(self, number: int) -> FinishedPart | None:
        """Return a part if it is finished."""
        found = read_record(self._record(number), "problems")
        return FinishedPart(**found | {"problems": tuple(found["problems"])}) if found else None

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """Yield the path to write the answers of a part to; they are complete and durable afterwards."""
        aside = self.folder / f".{number:08d}.{os.getpid()}"
        try:
            yield aside
            settle(aside, self.answers(number))
        finally:
            aside.unlink(missing_ok=True)

    def finish(self, number: int, done: FinishedPart) -> None:
        """Record that a part is finished."""
        disk.replace(self._record(number), json.dumps(asdict(done)).encode())

    def remove(self) -> None:
        """Remove the folder, the plan at last."""
        for path in self.folder.iterdir():
            if path.name not in (_PLAN, _LOCK):
                path.unlink()
        shutil.rmtree(self.folder)

    def _record(self, number: int) -> Path:
        return self.folder / f"{number:08d}.json"


def read_record(path: Path, field: str) -> dict[str, Any] | None:
    """Return a record in JSON; None if there is none, or the file is something else, without this field."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and field in found else None


def settle(aside: Path, path: Path) -> None:
    """Give a complete file its name, durably."""
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    disk.sync(path.parent)
