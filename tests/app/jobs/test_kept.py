"""Ids and inputs of rows are kept until they expire; inputs are found once their label came."""

from __future__ import annotations

from pathlib import Path

from app.jobs.database import Database
from app.jobs.feedback import FeedbackStore
from app.jobs.kept import KeptStore
from app.jobs.kept_rows import KeptId, KeptInput, LabelledInput
from app.jobs.records import LabelledRow
from app.jobs.table import KEPT_INPUTS
from app.jobs.tablefile import DATABASE_FILE
from tests.app.databases import opened


def test_an_id_is_that_of_the_newest_row_of_its_model(database: Database) -> None:
    store = KeptStore(database)
    many = [KeptId("iris", f"{number}", "first", 100) for number in range(1200)]  # more than one query has
    store.add([*many, many[3]._replace(receipt="second")], [])
    store.add([KeptId("churn", "3", "other", 100), KeptId("iris", "4", "third", 100)], [])

    found = store.receipts([f"{number}" for number in range(1300)], now_s=99)

    assert len(found) == 1200
    assert (found["3"], found["4"]) == ({"iris": "second", "churn": "other"}, {"iris": "third"})
    assert store.receipts([], now_s=99) == {}


def test_inputs_are_found_with_their_labels_the_newest_first(database: Database) -> None:
    store = KeptStore(database)
    rows = [KeptInput(bytes([number]) * 12, "iris", 2, number, 100 + number, f"{number}") for number in range(4)]
    store.add([], [*rows, KeptInput(b"x" * 12, "churn", 1, 3, 200, "{}")])
    labels = [LabelledRow(row.mac, "iris", 2, row.time_s, 0.0, 0.9, 1.0) for row in rows[:3]]
    FeedbackStore(database).add(labels, oldest_s=0)

    expected = [LabelledInput(2, number, f"{number}", 1.0) for number in (2, 1, 0)]
    assert store.find_labelled("iris", 0, 9) == (expected, 3)
    assert store.find_labelled("iris", 100, 1) == (expected[:1], 2)
    assert store.find_labelled("churn", 0, 9) == ([], 0)


def test_what_has_expired_is_not_found_and_is_removed(database: Database) -> None:
    store = KeptStore(database)
    store.add([KeptId("iris", "a", "r", 100)], [KeptInput(b"m" * 12, "iris", 1, 1, 100, "{}")])
    assert store.receipts(["a"], now_s=100) == {}
    assert store.receipts(["a"], now_s=99) != {}

    store.remove_expired(100)

    assert store.receipts(["a"], now_s=0) == {}


def test_what_was_removed_is_in_no_file(tmp_path: Path) -> None:
    database = opened(None, tmp_path)
    store = KeptStore(database)
    store.add([KeptId("iris", "a", "r", 100)], [KeptInput(b"m" * 12, "iris", 1, 1, 100, "planted")])
    files = (tmp_path / DATABASE_FILE, tmp_path / f"{DATABASE_FILE}-wal")
    assert any(b"planted" in file.read_bytes() for file in files)

    store.remove_expired(100)

    assert not any(b"planted" in file.read_bytes() for file in files)
    database.close()


def test_what_was_removed_but_not_overwritten_then_is_overwritten_later(tmp_path: Path) -> None:
    database = opened(None, tmp_path)
    store = KeptStore(database)
    store.add([], [KeptInput(b"m" * 12, "iris", 1, 1, 100, "planted")])
    with database.writing() as connection:
        connection.execute(KEPT_INPUTS.delete())
    log = tmp_path / f"{DATABASE_FILE}-wal"
    assert b"planted" in log.read_bytes()

    store.remove_expired(0)

    assert b"planted" not in log.read_bytes()
    database.close()
