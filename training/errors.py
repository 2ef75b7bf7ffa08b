"""Errors of a training, with named fields.

They must not know the command line or the console.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from modelstore import DatasetFault, Reason


class TrainingError(Exception):
    """Base class of all errors that `training` raises on purpose; the text is one sentence for people.

    Attributes:
        reason: reason that a job reports if it ends with this error.
    """

    reason: Reason = "failed"


class RecipeError(TrainingError):
    """A recipe or an override cannot be used.

    Attributes:
        source: file name, or part of the command line.
        field: dotted path of the field; empty for the whole document.
    """

    def __init__(self, source: str, field: str, expected: str, got: object) -> None:
        place = f"{source}: {field}" if field else source
        # Of fields that contradict each other, `got` is the whole record, and `expected` names them.
        came = "" if isinstance(got, dict) else f", got {got!r:.200}"
        super().__init__(f"{place}: expected {expected}{came}")
        self.source = source
        self.field = field
        self.expected = expected
        self.got = got


class UnknownRecipe(TrainingError):
    """The recipes folder has no recipe of this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no recipe {name!r}; known recipes: {', '.join(known) or 'none'}")


class WrongModel(TrainingError):
    """The recipe trains another model than the requested one."""

    def __init__(self, recipe: str, trains: str, asked: str) -> None:
        super().__init__(
            f"recipe {recipe!r} trains the model {trains!r}, not {asked!r}; say: fit {trains} --recipe {recipe}"
        )


class MissingExtra(TrainingError):
    """An option needs a library that is not installed."""

    def __init__(self, option: str, extra: str) -> None:
        super().__init__(f"{option} needs an optional library; install it with: pip install 'tabserve[{extra}]'")


class StudyUnavailable(TrainingError):
    """The database of a search cannot be used."""

    def __init__(self) -> None:
        super().__init__("the database of tried settings cannot be used; can this process write there?")


class DatasetError(TrainingError):
    """The data cannot be trained on.

    Attributes:
        line: line of the first fault, counted as in an editor (the file's first line is 1), if it is in one row
            of the file; of a row of feedback, whose line is below 1, the problem says so.
        column: name of the column of the first fault, if it is in one column.
        faults: all faults found, at most ten.
    """

    reason: Reason = "bad_data"

    def __init__(
        self,
        file: str,
        problem: str,
        *,
        line: int | None = None,
        column: str | None = None,
        others: Sequence[DatasetFault] = (),
    ) -> None:
        if line is not None and line < 1:
            line, problem = None, f"{problem}, in a row of feedback"
        self.line = line
        self.column = column
        self.faults = (DatasetFault(line=line, column=column, problem=problem), *others)
        sentences = [f"{_place(fault)}{fault.problem}" for fault in self.faults]
        super().__init__(f"{file}{', ' if line or column else ': '}{'; '.join(sentences)}")

    @classmethod
    def of(cls, file: str, faults: Sequence[DatasetFault]) -> Self:
        """Return an error that names all the given faults, at least one."""
        first, *others = faults
        return cls(file, first.problem, line=first.line, column=first.column, others=others)


def _place(fault: DatasetFault) -> str:
    """Return "line 7, column 'x1': ", or its known part."""
    parts = [f"line {fault.line}" if fault.line else "", f"column {fault.column!r}" if fault.column else ""]
    return "".join((", ".join(filter(None, parts)), ": " if any(parts) else ""))


class Diverged(TrainingError):
    """The loss is not finite, or ended far above that of guessing."""

    reason: Reason = "diverged"

    def __init__(self, problem: str, learning_rate: float | None) -> None:
        smaller = "" if learning_rate is None else f"a learning rate ten times smaller than {learning_rate:g}"
        super().__init__(f"{problem}; try {smaller or 'another learner'}")


class ExportError(TrainingError):
    """The TorchScript copy of a network gives other answers than the network itself."""

    def __init__(self, difference: float, tolerance: float) -> None:
        super().__init__(
            f"scripted and eager answers differ by {difference:.2g}, at most {tolerance:.2g} was expected; "
            "nothing was published, please report this"
        )
