"""Labels are kept once for each receipt, and read by version and time."""

from __future__ import annotations

from app.jobs.database import Database
from app.jobs.feedback import FeedbackStore
from app.jobs.records import LabelledRow


def row(number: int, *, version: int = 1, time_s: int = 1000, label: float = 1.0) -> LabelledRow:
    return LabelledRow(number.to_bytes(12), "iris", version, time_s, 2.0, 0.75, label)


def test_a_receipt_has_one_label_the_first(database: Database) -> None:
    store = FeedbackStore(database)
    many = [row(number) for number in range(1200)]  # more than one query asks for

    assert store.add(many[:700], oldest_s=0) == many[:700]
    assert store.add([row(5, label=0.0), *many], oldest_s=0) == many[700:]

    found, count = store.newest("iris", 1, since_s=0, limit=5000)
    assert (sorted(found), count) == (many, 1200)
    assert store.add([], oldest_s=0) == []


def test_rows_are_those_of_their_version_and_time_the_newest_first(database: Database) -> None:
    store = FeedbackStore(database)
    quantity = LabelledRow(b"q" * 12, "house", 1, 1000, 12.5, None, 13.0)
    store.add([row(1, time_s=10), row(2, time_s=20), row(3, time_s=30), row(4, version=2), quantity], oldest_s=0)

    assert store.newest("iris", 1, since_s=20, limit=1) == ([row(3, time_s=30)], 2)
    assert store.newest("house", 1, since_s=0, limit=9) == ([quantity], 1)
    assert [store.count("iris", version, since_s=20) for version in (1, 2, 3)] == [2, 1, 0]


def test_what_is_too_old_is_removed(database: Database) -> None:
    store = FeedbackStore(database)
    store.add([row(1, time_s=10), row(2, time_s=20)], oldest_s=0)
    store.add([row(3, time_s=30)], oldest_s=20)

    assert store.count("iris", 1, since_s=0) == 2
