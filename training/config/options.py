"""Read the options of a table, its dialect and the decision from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import ValidationError

from modelstore import DataOptions, DecisionPolicy, Dialect
from training.config.recipe import recipe_error
from training.errors import RecipeError


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
        fields = _object("--options", self.document)
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
        try:
            return DataOptions.model_validate_json(json.dumps(fields))
        except ValidationError as error:
            raise recipe_error("options", error, DataOptions) from error


@dataclass(frozen=True)
class DialectTexts:
    """The fields of `Dialect` as they were said, None if they were not; see `python -m training inspect --help`.

    Attributes:
        document: a JSON object with the fields of `Dialect`.
    """

    document: str | None = None
    delimiter: str | None = None
    quote: str | None = None
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
        try:
            return Dialect.model_validate_json(json.dumps(_object("--dialect", self.document) | single))
        except ValidationError as error:
            raise recipe_error("dialect", error, Dialect) from error


def read_decision(document: str | None) -> DecisionPolicy | None:
    """Return how a class is chosen, from a JSON object; None if there is none.

    Raises:
        RecipeError: naming the field, the expected and the actual value.
    """
    if document is None:
        return None
    try:
        return DecisionPolicy.model_validate_json(json.dumps(_object("--decision", document)))
    except ValidationError as error:
        raise recipe_error("decision", error, DecisionPolicy) from error


def _object(option: str, document: str | None) -> dict[str, object]:
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
