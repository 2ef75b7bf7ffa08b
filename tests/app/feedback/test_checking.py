"""Each item of feedback is checked against the version that its receipt proves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.errors import Problem, StoreUnavailable
from app.feedback.checking import Checked, FeedbackCheck, ids_of
from app.feedback.reading import FeedbackItem
from app.receipts import FIELDS, ReceiptKeys, mac_of, model_id, write_receipts
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.runtime import load as runtime
from modelstore import ModelRepository, SigningKey
from tests.app.typed import publish_typed
from tests.fakes import publish

NOW_S = 1_800_000_000
DAY_S = 86_400
KEYS = ReceiptKeys(SigningKey(b"k" * 32, (b"o" * 32,)), Path("nowhere"))
CLASSES = ("1", "2", *(f"class {number}" for number in range(3, 15)))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelRegistry]:
    repository = ModelRepository(tmp_path_factory.mktemp("checking"))
    publish(repository)
    publish(repository, "many", classes=CLASSES)
    publish_typed(repository, "regression")
    loader = Loader(partial(runtime.load, device="cpu"), max_versions=1)
    registry = ModelRegistry(repository, loader, runtime.prove_again)
    asyncio.run(registry.refresh())
    yield registry
    registry.close()


def receipt(
    registry: ModelRegistry, model: str = "means", *, time_s: int = NOW_S, secret: int = 0, version: int = 1
) -> str:
    """Return the receipt of an answer of class 1 with 0.75, or of the quantity 0.75."""
    said = np.zeros(1, dtype=FIELDS)
    said["model"], said["version"], said["time"], said["label"], said["number"] = (
        model_id(model),
        version,
        time_s,
        1,
        0.75,
    )
    sha256 = registry.stored.manifest(model, 1).sha256
    return write_receipts(said, mac_of(KEYS.secrets()[secret], model, version, sha256))[0]


def check(registry: ModelRegistry, receipt: object, label: object) -> Checked:
    return FeedbackCheck(KEYS, registry, keep_days=30).check([FeedbackItem(7, receipt, label)], NOW_S)


def problem(registry: ModelRegistry, receipt: object, label: object) -> tuple[str | None, str]:
    rows, repeated, (found,) = check(registry, receipt, label)
    assert (rows, repeated, found.row) == ([], 0, 7)
    return found.feature, found.problem


@pytest.mark.parametrize(
    ("model", "label", "kept"),
    [
        ("means", "low", (1.0, 0.75, 0.0)),
        ("many", "2", (1.0, 0.75, 1.0)),
        ("many", 1, (1.0, 0.75, 0.0)),
        ("typed", 3, (0.75, None, 3.0)),
        ("typed", " -1.5e2 ", (0.75, None, -150.0)),
    ],
)
def test_what_is_kept_is_the_answer_and_its_label(
    model: str, label: object, kept: tuple[float, float | None, float], registry: ModelRegistry
) -> None:
    (row,) = check(registry, receipt(registry, model), label).rows

    assert (row.model, row.version, row.time_s) == (model, 1, NOW_S)
    assert (row.answer, row.confidence, row.label) == kept


def test_a_receipt_of_an_older_key_is_still_one(registry: ModelRegistry) -> None:
    assert len(check(registry, receipt(registry, secret=1), "low").rows) == 1


def test_a_receipt_expires(registry: ModelRegistry) -> None:
    assert len(check(registry, receipt(registry, time_s=NOW_S - 30 * DAY_S), "low").rows) == 1
    field, text = problem(registry, receipt(registry, time_s=NOW_S - 30 * DAY_S - 1), "low")
    assert (field, "older than 30 days" in text) == ("receipt", True)


def test_what_proves_nothing_is_no_receipt(registry: ModelRegistry) -> None:
    good = receipt(registry)
    for wrong in ("", 5, good[:-1] + ("A" if good[-1] != "A" else "B"), receipt(registry, version=2)):
        assert problem(registry, wrong, "low") == (
            "receipt",
            "is not a receipt of this service for a version that it still has",
        )


@pytest.mark.parametrize(
    ("model", "label", "words"),
    [
        ("means", "Low", "is no class; did you mean 'low'?"),
        ("means", True, "must be the name of a class, one of 'low', 'high'"),
        ("means", ["low"], "must be the name of a class"),
        ("many", "x", "'class 10' or one of 4 more"),
        ("many", 1.0, "must be the name of a class"),
        ("typed", "12 EUR", "must be a number"),
        ("typed", float("nan"), "must be a number"),
        ("typed", 10**400, "must be a number"),
        ("typed", True, "must be a number"),
    ],
)
def test_a_label_that_does_not_fit_the_version_is_refused_in_words(
    model: str, label: object, words: str, registry: ModelRegistry
) -> None:
    field, text = problem(registry, receipt(registry, model), label)

    assert (field, words in text) == ("label", True), text


@pytest.mark.parametrize("unreadable", [".", "1/manifest.json"])
def test_labels_are_put_off_while_the_version_cannot_be_read(unreadable: str, registry: ModelRegistry) -> None:
    """A link to itself is what not even root can read."""
    given, place = receipt(registry), registry.stored.find("means", 1).path.parent / unreadable
    aside = place.rename(registry.stored.find("means", 1).path.parents[1] / ".aside")
    try:
        place.mkdir() if unreadable != "." else place.symlink_to(place)
        with pytest.raises(StoreUnavailable):
            check(registry, given, "low")
        assert len(check(registry, receipt(registry, "many"), "2").rows) == 1
    finally:
        place.unlink() if place.is_symlink() else place.rmdir()
        aside.rename(place)
    assert len(check(registry, given, "low").rows) == 1


def test_an_item_without_the_two_fields_is_refused_as_a_whole(registry: ModelRegistry) -> None:
    given = FeedbackCheck(KEYS, registry, keep_days=30).check([FeedbackItem(7, form=None)], NOW_S)
    assert [(one.feature, one.problem[:21]) for one in given.refused] == [(None, "must have two fields:")]
    torn = FeedbackCheck(KEYS, registry, keep_days=30).check([FeedbackItem(7, form=None, problem="is torn")], NOW_S)
    assert torn.refused == [Problem(7, None, "is torn")]


def test_an_id_is_the_receipt_that_is_kept_under_it(registry: ModelRegistry) -> None:
    kept = {"a-1": {"means": receipt(registry)}, "7": {"means": receipt(registry), "many": receipt(registry, "many")}}
    items = [
        FeedbackItem(0, id=" a-1 ", label="low", form="id"),
        FeedbackItem(1, id=7, label="2", model="many", form="id"),
        FeedbackItem(2, id="7", label="low", form="id"),
        FeedbackItem(3, id="a-2", label="low", form="id"),
        FeedbackItem(4, id=None, label="low", form="id"),
        FeedbackItem(5, id="a-1", label="low", model=["means"], form="id"),
        FeedbackItem(6, id="a-1", label="low", model="typo", form="id"),
        FeedbackItem(7, id="7", label="low", model="mean", form="id"),
    ]

    found = FeedbackCheck(KEYS, registry, 30, id_days=9).check(items, NOW_S, kept)

    assert ids_of(items) == ["a-1", "7", "a-2"]
    assert [(row.model, row.label) for row in found.rows] == [("means", 0.0), ("many", 1.0)]
    assert [(one.row, one.feature) for one in found.refused] == [
        (2, "model"),
        (3, "id"),
        (4, "id"),
        (5, "model"),
        (6, "model"),
        (7, "model"),
    ]
    assert "many and means had rows with this id" in found.refused[0].problem
    assert "no row had it in the last 9 days (TABSERVE_FEEDBACK_ID_DAYS=9)" in found.refused[1].problem
    only, several = "had no row with this id; 'means' had one", "had no row with this id; 'means' and 'many' had one"
    assert [one.problem for one in found.refused[3:]] == [only, only, several]
