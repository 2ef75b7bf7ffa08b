"""Options of a training for its table, and for the requests to its version.

It must not know how a table is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from modelstore.features import MISSING_VALUES, ColumnType, Task
from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS, column_name
from modelstore.records import Label, Record

Column = Annotated[Label, Field(pattern=r"^[^\x00]+$"), AfterValidator(column_name)]  # PostgreSQL stores no NUL

MissingText = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00]*$")]
RareClasses = Literal["drop", "merge", "refuse"]


class Split(Record):
    """How rows are held out for testing, where it is not by a hash of their content.

    Attributes:
        time: column of dates or numbers; the latest rows test.
        group: column whose rows of one value stay on one side.
    """

    time: Column | None = None
    group: Column | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.time is None) == (self.group is None):
            raise ValueError("exactly one of time and group")
        return self


class DataOptions(Record):
    """Options of a table that a person may set; those left out are decided from its rows.

    Attributes:
        types: type of a column, by name.
        task: `classification` or `regression`; None decides by the target's values.
        split: how rows are held out for testing; None takes a keyed hash of each row's content.
        rare_classes: what happens to classes with fewer than five rows: their rows are left out, are merged into one
            class `other`, or the table is refused.
        missing_values: cells that stand for a missing value, as `missingValues`, beside empty ones; None for the usual
            ones.
        optional: columns that a request need not name; their values are missing then. They get `required: false` in the
            manifest.
        strict: whether the version refuses unusual values, unless a request says otherwise.
        receipts: whether each answer of the version has a receipt, unless a request says otherwise.
    """

    types: Annotated[dict[Column, ColumnType], Field(max_length=MAX_COLUMNS)] = Field(default_factory=dict)
    task: Task | None = None
    split: Split | None = None
    rare_classes: RareClasses = "drop"
    missing_values: Annotated[tuple[MissingText, ...], Field(max_length=100)] | None = None
    optional: Annotated[tuple[Column, ...], Field(max_length=MAX_COLUMNS)] = ()
    strict: bool = False
    receipts: bool = False

    @model_validator(mode="after")
    def _of_one_task(self) -> Self:
        if self.task == "regression" and self.rare_classes != "drop":
            raise ValueError("no rare_classes beside task = regression, which has no classes")
        return self

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Return the cells that stand for a missing value: the empty one, and the usual ones if none are said."""
        if self.missing_values is None:
            return MISSING_VALUES
        return self.missing_values if "" in self.missing_values else ("", *self.missing_values)

    def to_dict(self) -> dict[str, Any]:
        """Return only the options that differ from the defaults, as JSON values."""
        return DataOptions.model_dump(self, mode="json", include=set(DataOptions.model_fields), exclude_defaults=True)
