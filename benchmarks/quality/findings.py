"""What was measured, in a file, so that a run can be stopped and continued."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from modelstore import Task
from modelstore.records import Record


class Cell(Record):
    """One system on one table and split.

    Attributes:
        file: name of the table.
        system: name of the system.
        seed: number of the split, and seed of the system.
        budget_s: seconds for systems that take a budget; None lets the number of rows decide.
    """

    file: str
    system: str
    seed: int
    budget_s: float | None = None


class Finding(Record):
    """The result of a cell.

    Attributes:
        cell: what was measured.
        task: what is learnt.
        rows: training and test rows.
        columns: number of columns of each type.
        left_out: columns of the file that are not used, each with the reason.
        losses: loss of each test row, in their order: negative log likelihood in nats, or squared error.
        accuracy: of a classification.
        auc: area under the ROC curve of the second of two classes, or the mean of each class against the rest.
        auc_error: standard error of it.
        train_s: seconds from the rows in memory to a model that answers.
        cpu_s: processor seconds of the same.
        whole_s: seconds of the whole process, start of Python and reading included.
        row_us: median microseconds of one row alone.
        peak_mb: most memory that the process had.
        measured: the day (UTC).
        problem: why there is no figure; then the others do not count.
    """

    cell: Cell
    task: Task = "classification"
    rows: int = 0
    columns: dict[str, int] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    accuracy: float | None = None
    auc: float | None = None
    auc_error: float | None = None
    train_s: float = 0
    cpu_s: float = 0
    whole_s: float = 0
    row_us: float = 0
    peak_mb: float = 0
    measured: str = ""
    problem: str = ""


class Findings:
    """The findings in a file of JSON lines, one a line; of a cell measured twice the later counts."""

    def __init__(self, path: Path, kept: Iterable[Path] = ()) -> None:
        """Read the file; a last line that a stop has cut short is removed.

        Args:
            path: JSON lines, to which findings are added.
            kept: compressed files of earlier findings, which stay as they are.

        Raises:
            ValueError: if another line is no finding; names the line.
        """
        self._path, self._all = path, dict[Cell, Finding]()
        path.parent.mkdir(parents=True, exist_ok=True)
        for earlier in kept:
            self._read(earlier, gzip.decompress(earlier.read_bytes()))
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
        self._read(path, content[:whole])

    def add(self, finding: Finding) -> None:
        """Keep a finding, and write it to the file at once."""
        self._keep(finding)
        with self._path.open("ab") as stream:
            stream.write(f"{finding.model_dump_json()}\n".encode())

    def of(self, cell: Cell) -> Finding | None:
        """Return the finding of a cell, if it has a figure; one with a problem is to be measured again."""
        found = self._all.get(cell)
        return None if found is None or found.problem else found

    def all(self) -> tuple[Finding, ...]:
        """Return all findings, those with a problem included."""
        return tuple(self._all.values())

    def _read(self, path: Path, content: bytes) -> None:
        for number, line in enumerate(content.splitlines(), 1):
            try:
                self._keep(Finding.model_validate_json(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: expected a finding of scripts/bench-quality") from error

    def _keep(self, finding: Finding) -> None:
        self._all[finding.cell] = finding
