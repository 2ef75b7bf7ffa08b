"""Check receipts or ids, and labels, and turn them into what is kept.

This module must not know HTTP or a database.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.errors import NotFound, Problem, StoreUnavailable
from app.feedback.reading import FeedbackItem
from app.jobs.records import LabelledRow
from app.receipts import ID_FORM, Mac, Receipt, ReceiptKeys, mac_of, model_id, read_id, read_receipt
from app.registry.registry import ModelRegistry
from app.runtime.errors import VersionRefused
from modelstore import Manifest, wording
from modelstore.numbers import parse_number

_SHOWN_CLASSES = 10
_NO_FORM = "must have two fields: receipt and label, or id and label, and perhaps model"
_NO_RECEIPT = "is not a receipt of this service for a version that it still has"
_MOST = float(np.finfo(np.float32).max)

ReceiptsById = Mapping[str, Mapping[str, str]]
"""The receipt under each known id, by id and name of the model."""


class Checked(NamedTuple):
    """Feedback after its checks.

    Attributes:
        rows: what is to be kept, with receipts that differ.
        repeated: items whose receipt occurs earlier in the request.
        refused: what is wrong with each other item.
    """

    rows: list[LabelledRow]
    repeated: int
    refused: list[Problem]


class _Refused(Exception):
    """An item is refused; holds its field and what is wrong with it."""


class _Version(NamedTuple):
    name: str
    manifest: Manifest
    macs: tuple[Mac, ...]


class FeedbackCheck:
    """Checks feedback against the versions of a store; its methods read files, so call them from a thread."""

    def __init__(self, keys: ReceiptKeys, registry: ModelRegistry, keep_days: int, id_days: int = 0) -> None:
        """Create it.

        Args:
            keys: what proves receipts.
            registry: the models whose versions gave them.
            keep_days: how long a receipt is valid.
            id_days: how long an id is kept, for messages; 0 for not at all.
        """
        self._keys, self._registry, self._keep_days, self._id_days = keys, registry, keep_days, id_days

    def oldest_s(self, now_s: float) -> int:
        """Return the time of the oldest receipt that is valid, in seconds since 1970."""
        return int(now_s) - self._keep_days * 86_400

    def check(self, items: Sequence[FeedbackItem], now_s: float, receipts: ReceiptsById | None = None) -> Checked:
        """Check each item on its own; `receipts` is what is known of the ids among them, see `ids_of`.

        Raises:
            ReceiptKeyUnavailable.
            StoreUnavailable: if a version that may have given a receipt cannot be read now.
        """
        find = functools.cache(self._versions)
        rows: dict[bytes, LabelledRow] = {}
        repeated, refused = 0, []
        for item in items:
            try:
                receipt = self._find(item, receipts or {})
                row = self._row(receipt, item.label, find, now_s)
            except _Refused as error:
                field, problem = error.args
                refused.append(Problem(item.row, field, problem))
                continue
            repeated += row.mac in rows
            rows.setdefault(row.mac, row)
        return Checked(list(rows.values()), repeated, refused)

    def _find(self, item: FeedbackItem, receipts: ReceiptsById) -> object:
        """Return the receipt of an item: its own, or the one that is kept under its id."""
        if item.form is None:
            raise _Refused(None, item.problem or _NO_FORM)
        if item.form == "receipt":
            return item.receipt
        own = read_id(item.id)
        if own is None:
            raise _Refused("id", ID_FORM)
        found = receipts.get(own, {})
        if item.model in (None, "") and len(found) > 1:
            raise _Refused("model", f"must say which one is meant: {' and '.join(sorted(found))} had rows with this id")
        for model, receipt in found.items():
            if item.model in (None, "", model):
                return receipt
        if found:
            near = wording.nearest(item.model, found) if isinstance(item.model, str) else None
            names = sorted(found, key=lambda name: (name != near, name))
            raise _Refused("model", f"had no row with this id; {' and '.join(map(repr, names))} had one")
        kept = f"no row had it in the last {self._id_days} days" if self._id_days else "this service keeps no ids"
        raise _Refused("id", f"is not known: {kept} (TABSERVE_FEEDBACK_ID_DAYS={self._id_days})")

    def _row(
        self, given: object, label_given: object, find: Callable[[int, int], list[_Version]], now_s: float
    ) -> LabelledRow:
        receipt = read_receipt(given)
        version = receipt and _prove(receipt, find(receipt.model, receipt.version))
        if receipt is None or version is None:
            raise _Refused("receipt", _NO_RECEIPT)
        if receipt.time_s < self.oldest_s(now_s):
            limit = f"{self._keep_days} days (TABSERVE_KEEP_FEEDBACK_DAYS)"
            raise _Refused("receipt", f"is older than {limit}, too old for a label")
        manifest, is_quantity = version.manifest, version.manifest.task == "regression"
        label = _read_quantity(label_given) if is_quantity else _read_class(label_given, manifest.classes)
        answer, confidence = (receipt.number, None) if is_quantity else (float(receipt.label), receipt.number)
        return LabelledRow(receipt.mac, version.name, receipt.version, receipt.time_s, answer, confidence, label)

    def _versions(self, number: int, version: int) -> list[_Version]:
        """Return the version of this number of each model whose name has this `model_id`; mostly one, or none."""
        found = []
        for model in self._registry.models():
            if model_id(name := model.name) == number:
                try:
                    manifest = self._registry.stored.manifest(name, version)
                except NotFound:
                    continue
                except VersionRefused as error:
                    if error.reason == "file_unreadable":
                        raise StoreUnavailable(f"{name} version {version} cannot be read now") from error
                    continue  # what is not as it was published proves nothing
                macs = tuple(mac_of(secret, name, version, manifest.sha256) for secret in self._keys.secrets())
                found.append(_Version(name, manifest, macs))
        return found


def ids_of(items: Iterable[FeedbackItem]) -> list[str]:
    """Return the ids among items of feedback, each once."""
    return list(dict.fromkeys(own for item in items if (own := read_id(item.id)) is not None))


def _prove(receipt: Receipt, versions: Iterable[_Version]) -> _Version | None:
    """Return the version that gave a receipt; compares in constant time."""
    for version in versions:
        if any(hmac.compare_digest(mac(receipt.fields), receipt.mac) for mac in version.macs):
            return version
    return None


def _read_class(label: object, classes: Sequence[str]) -> float:
    """Return the index of a class; a whole number stands for the class with these digits."""
    name = str(label) if type(label) is int else label
    if type(name) is not str:
        raise _Refused("label", f"must be the name of a class, {_list_classes(classes)}")
    if name not in classes:
        meant = wording.nearest(name, classes)
        raise _Refused(
            "label", f"is no class; did you mean {meant!r}?" if meant else f"must be {_list_classes(classes)}"
        )
    return float(classes.index(name))


def _read_quantity(label: object) -> float:
    """Return a true quantity: a number, or its digits."""
    value = parse_number(label.strip()) if isinstance(label, str) else label
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_MOST <= value <= _MOST:
        raise _Refused("label", "must be a number")
    return float(value)


def _list_classes(classes: Sequence[str]) -> str:
    more = f" or one of {len(classes) - _SHOWN_CLASSES} more" if len(classes) > _SHOWN_CLASSES else ""
    return f"one of {', '.join(map(repr, classes[:_SHOWN_CLASSES]))}{more}"
