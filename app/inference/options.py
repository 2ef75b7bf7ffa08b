"""Options of a prediction request, which change or extend the usual answer.

This module must not know any body format, or how an option is carried out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from app.errors import wrong_field
from app.inference.codecs.strict_json import require_digits
from app.inference.decision import Override
from app.receipts import ID_FORM, read_id
from modelstore import AbstainPolicy, wording

_EXPLAIN_FIELDS = ("class", "top", "confidence_below")
_ABSTAIN_FIELDS = ("below", "confidence", "wider", "out_of_range")
MOST_TOP = 10_000

Spell = Callable[..., str]
"""Returns the name of an option as the request spells it; see `PredictionOptions.spell`."""


@dataclass(frozen=True, slots=True)
class Explain:
    """The explanations that a request asks for.

    Attributes:
        class_name: class whose probability is explained; None for the label of each row.
        top: how many of the largest contributions to answer; None for all.
        confidence_below: explain only rows whose label has a smaller probability, 0 to 1; None for all rows.
    """

    class_name: str | None = None
    top: int | None = None
    confidence_below: float | None = None


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """What a request asks for; each option is None where it asks for nothing.

    Attributes:
        strict: whether rows with unusual values are refused; None as the version says.
        override: the decision that is wanted in place of the version's own.
        explain: the explanations that are wanted.
        receipt: whether each row gets a receipt; None as the version says.
        confidence: share of rows whose truth is to be in their set or interval, above 0 and below 1.
        abstain: when nothing is decided for a row; False for never, whatever the version says.
        ids: the caller's own id of each row, None for a row without one; the receipts are kept under them.
        id_column: name of the column of a table that holds them.
        prefix: what the request has before the names of its options.
        in_body: names of the options that are objects of a JSON document; the others are flat parameters.
    """

    strict: bool | None = None
    override: Override | None = None
    explain: Explain | None = None
    receipt: bool | None = None
    confidence: float | None = None
    abstain: AbstainPolicy | Literal[False] | None = None
    ids: tuple[str | None, ...] | None = None
    id_column: str | None = None
    prefix: str = field(default="", compare=False)
    in_body: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def has_ids(self) -> bool:
        """Return whether rows come with ids."""
        return self.ids is not None or self.id_column is not None

    def spell(self, option: str, part: str = "") -> str:
        """Return the name of an option, or of a part of it, as the request has it: `explain.class`, `explain_class`."""
        if not part:
            return f"{self.prefix}{option}"
        return f"{self.prefix}{option}{'.' if option in self.in_body else '_'}{part}"

    def merge(self, body: PredictionOptions | None) -> PredictionOptions:
        """Return these options, of the query, with those of the body.

        Raises:
            InvalidInput: if both say the same thing.
        """
        if body is None:
            return self
        names = [each.name for each in fields(body) if each.compare]
        asked = {name: value for name in names if (value := getattr(body, name)) is not None}
        for name in asked:
            if getattr(self, name) is not None:
                raise wrong_field(name, "is in the query and in the body; say it in one place")
        return replace(self, **asked, in_body=frozenset(asked))


PLAIN = PredictionOptions()
"""Nothing is asked for."""

BODY_FIELDS = ("explain", "confidence", "abstain", "ids")
"""Names of the fields beside the rows of a JSON document that `read_options` reads."""


def read_options(document: Mapping[str, Any]) -> PredictionOptions | None:
    """Return the options in a JSON document; None if it has none.

    Raises:
        InvalidInput: naming the field that is wrong.
        DigitsLost: if an id is a number, and the parser may have lost some of its digits.
    """
    explain, confidence = read_explain(document.get("explain")), document.get("confidence")
    found = PredictionOptions(
        explain=explain,
        confidence=None if confidence is None else _level(confidence, "confidence"),
        abstain=read_abstain(document.get("abstain")),
        ids=_read_ids(document.get("ids")),
    )
    return None if found == PLAIN else found


def read_explain(value: object, place: str = "explain", between: str = ".") -> Explain | None:
    """Return the explanations that a value asks for: true, or an object; None for false and null.

    Args:
        value: as in a JSON document.
        place: name of the field that holds it, for messages.
        between: what joins this name and that of a field of the object.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    if value is None or value is False:
        return None
    if value is True:
        return Explain()
    if type(value) is not dict:
        raise wrong_field(place, f"must be true, or an object with {', '.join(_EXPLAIN_FIELDS)}")
    _require_known(value, _EXPLAIN_FIELDS, place)
    class_name, top, below = (value.get(name) for name in _EXPLAIN_FIELDS)
    if class_name is not None and type(class_name) is not str:
        raise wrong_field(f"{place}{between}class", "must be the name of a class")
    if top is not None and (type(top) is not int or not 1 <= top <= MOST_TOP):
        raise wrong_field(f"{place}{between}top", f"must be a whole number from 1 to {MOST_TOP}")
    if below is not None and (type(below) not in (int, float) or not 0 < below <= 1):
        raise wrong_field(f"{place}{between}confidence_below", "must be a number above 0, at most 1")
    return Explain(class_name, top, None if below is None else float(below))


def read_abstain(value: object, place: str = "abstain", between: str = ".") -> AbstainPolicy | Literal[False] | None:
    """Return when nothing is to be decided: an object, or false for never; None for null. See `read_explain`.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    if value is None or value is False:
        return value
    if type(value) is not dict or not value:
        raise wrong_field(place, f"must be false, or an object with {', '.join(_ABSTAIN_FIELDS)}, or some of them")
    _require_known(value, _ABSTAIN_FIELDS, place)
    below, confidence, wider, out_of_range = (value.get(name) for name in _ABSTAIN_FIELDS)
    if below is not None and (type(below) not in (int, float) or not 0 < below <= 1):
        raise wrong_field(f"{place}{between}below", "must be a number above 0, at most 1")
    level = None if confidence is None else _level(confidence, f"{place}{between}confidence")
    if wider is not None and (type(wider) not in (int, float) or not 0 < wider < math.inf):
        raise wrong_field(f"{place}{between}wider", "must be a number above 0, in the unit of the target")
    if wider is not None and level is None:
        raise wrong_field(f"{place}{between}confidence", f"must be said beside {place}{between}wider, such as 0.9")
    if out_of_range is not None and type(out_of_range) is not bool:
        raise wrong_field(f"{place}{between}out_of_range", "must be true or false")
    if below is None and level is None and not out_of_range:  # wider has a level
        raise wrong_field(place, f"must say at least one of {', '.join(_ABSTAIN_FIELDS)}")
    return AbstainPolicy(
        below=None if below is None else float(below),
        confidence=level,
        wider=None if wider is None else float(wider),
        out_of_range=bool(out_of_range),
    )


def _read_ids(value: object) -> tuple[str | None, ...] | None:
    if value is None:
        return None
    if type(value) is not list or not value:
        raise wrong_field("ids", "must be an array with the id of each row, or null for a row without one")
    ids = tuple(map(read_id, value))
    for place, (given, found) in enumerate(zip(value, ids, strict=True)):
        if found is None and given is not None:
            require_digits(given)
            raise wrong_field(f"ids.{place}", ID_FORM)
    return ids


def read_flat(given: Mapping[str, Any], place: str = "") -> PredictionOptions:
    """Return what flat parameters ask for: `explain`, `explain_class`, ..., `confidence`, `abstain_below`, ...

    Args:
        given: parameters by name, among others; None stands for an absent one.
        place: what messages write before a name.

    Raises:
        InvalidInput: naming the parameter that is wrong.
    """
    confidence, never = given.get("confidence"), given.get("abstain")
    wishes = {name: value for name in _ABSTAIN_FIELDS if (value := given.get(f"abstain_{name}")) is not None}
    if never is not None and (never is not False or wishes):
        raise wrong_field(
            f"{place}abstain", "must be false, or be left out; abstain_below and others say when to abstain"
        )
    return PredictionOptions(
        explain=_read_flat_explain(given, place),
        confidence=None if confidence is None else _level(confidence, f"{place}confidence"),
        abstain=read_abstain(wishes or never, f"{place}abstain", "_"),
        prefix=place,
    )


def _read_flat_explain(given: Mapping[str, Any], place: str) -> Explain | None:
    wanted, name = given.get("explain"), f"{place}explain"
    if wanted is not None and type(wanted) is not bool:
        raise wrong_field(name, "must be true or false")
    parts = {field: value for field in _EXPLAIN_FIELDS if (value := given.get(f"explain_{field}")) is not None}
    if parts and not wanted:
        raise wrong_field(name, f"must be true beside explain_{next(iter(parts))}")
    return read_explain(parts or wanted, name, "_")


def _level(value: object, place: str) -> float:
    """Return a share of rows, which is above 0 and below 1."""
    if type(value) not in (int, float) or not 0 < value < 1:  # type: ignore[operator]
        raise wrong_field(place, "must be a number between 0 and 1, such as 0.9")
    return float(value)  # type: ignore[arg-type]


def _require_known(given: Mapping[str, object], known: tuple[str, ...], place: str) -> None:
    for name in given:
        if name not in known:
            meant = wording.closest_name(name, known)
            hint = f"perhaps {meant} is meant" if meant else f"known are {', '.join(known)}"
            raise wrong_field(place, f"has a field that is not known; {hint}")
