"""Read options of a table, its dialect, policies and model card from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from pydantic import ValidationError

from modelstore import DataOptions, Dialect, Feedback
from modelstore.records import Record
from training.config.recipe import recipe_error
from training.errors import RecipeError

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class OptionTexts:
    """The options as texts; see `python -m training fit --help`.

    Attributes:
        document: a JSON object with the fields of `DataOptions`.
        types: `COLUMN=TYPE` texts.
        split: `time=COLUMN` or `group=COLUMN`.
        missing_values: texts separated by commas, quoted as in CSV.
    """

    document: str | None = None
    types: Sequence[str] = ()
    task: str | None = None
    split: str | None = None
    rare_classes: str | None = None
    missing_values: str | None = None

    def read(self) -> DataOptions:
        """Return the options; single ones replace those of the document.

        Raises:
            RecipeError: naming the option, the expected and the actual value.
        """
        fields = read_object("--options", self.document)
        if self.types:
            fields["types"] = dict(
                _assignment("--type", text, "COLUMN=TYPE, as in zip=categorical") for text in self.types
            )
        if self.split is not None:
            fields["split"] = dict([_assignment("--split", self.split, "time=COLUMN or group=COLUMN")])
        if self.missing_values is not None:
            fields["missing_values"] = next(csv.reader([self.missing_values]), [""])
        single = {"task": self.task, "rare_classes": self.rare_classes}
        fields |= {name: value for name, value in single.items() if value is not None}
        return make_record("options", fields, DataOptions)


@dataclass(frozen=True)
class DialectTexts:
    """The fields of `Dialect` as they were said, None if they were not; see `python -m training inspect --help`.

    Attributes:
        document: a JSON object with the fields of `Dialect`.
    """

    document: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    skip_rows: int | None = None
    skip_below: int | None = None
    skip_footer: int | None = None
    comment: str | None = None

    def read(self) -> Dialect:
        """Return the dialect; single fields replace those of the document, and the others are detected.

        Raises:
            RecipeError: naming the field, the expected and the actual value.
        """
        single = {name: value for name, value in asdict(self).items() if name != "document" and value is not None}
        return make_record("dialect", read_object("--dialect", self.document) | single, Dialect)


def read_record(name: str, document: str | None, record: type[R]) -> R | None:
    """Return a policy or a card from the JSON object that the option of this name holds; None if there is none.

    Raises:
        RecipeError: naming the field, the expected and the actual value.
    """
    return None if document is None else make_record(name, read_object(f"--{name}", document), record)


def make_record(name: str, fields: dict[str, object], record: type[R]) -> R:
    """Return a record with these fields.

    Raises:
        RecipeError: naming the field, the expected and the actual value.
    """
    try:
        return record.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise recipe_error(name, error, record) from error


def read_feedback(document: str | None) -> Feedback | None:
    """Return rows of feedback, from a JSON object; None if there is none.

    Raises:
        RecipeError: if it is none of such rows; the message repeats no value.
    """
    if document is None:
        return None
    try:
        return Feedback.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RecipeError("--feedback", place, f"rows of feedback ({first['msg']})", {}) from None


def read_object(option: str, document: str | None) -> dict[str, object]:
    """Return the JSON object that an option holds; an empty one without it.

    Raises:
        RecipeError: if it holds anything else.
    """
    try:
        fields = json.loads(document) if document else {}
    except ValueError as error:
        raise RecipeError(option, "", f"a JSON object ({error})", document) from error
    if not isinstance(fields, dict):
        raise RecipeError(option, "", "a JSON object", document)
    return fields


def _assignment(option: str, text: str, form: str) -> tuple[str, str]:
    """Split `name=value` at the last equals sign of a type, which holds none, or at the first of a split."""
    name, equals, value = text.rpartition("=") if option == "--type" else text.partition("=")
    if not equals:
        raise RecipeError(option, "", form, text)
    return name, value
