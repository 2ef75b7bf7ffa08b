"""Answers of shadows are joined to labels by receipt, and bounded in number and age."""

from __future__ import annotations

from app.jobs.database import Database
from app.jobs.feedback import FeedbackStore
from app.jobs.records import LabelledRow
from app.jobs.shadow_answers import ShadowAnswers
from app.receipts import ShadowAnswer


def answer(number: int, said: float, *, shadow: int = 2, time_s: int = 1000) -> ShadowAnswer:
    return ShadowAnswer(number.to_bytes(12), shadow, time_s, said)


def labelled(number: int, said: float, label: float, *, version: int = 1, quantity: bool = False) -> LabelledRow:
    return LabelledRow(number.to_bytes(12), "iris", version, 1000, said, None if quantity else 0.75, label)


def test_pairs_are_the_rows_of_which_one_version_alone_was_right(database: Database) -> None:
    answers, labels = ShadowAnswers(database), FeedbackStore(database)
    said = [(2, 0, 2), (2, 0, 2), (0, 2, 2), (1, 1, 2), (2, 2, 2), (1, 0, 2)]  # shadow, active, label
    labels.add([labelled(n, active, label) for n, (_, active, label) in enumerate(said[:3])], oldest_s=0)
    answers.keep([answer(n, shadow) for n, (shadow, _, _) in enumerate(said)], oldest_s=0)
    labels.add([labelled(n, active, label) for n, (_, active, label) in enumerate(said)], oldest_s=0)
    answers.keep([answer(20, 2), answer(21, 2, shadow=3)], oldest_s=0)
    labels.add([labelled(19, 0, 2), labelled(20, 0, 2, version=4), labelled(21, 0, 2)], oldest_s=0)

    assert answers.pairs("iris", 1, 2) == (2, 1)
    assert (answers.pairs("iris", 4, 2), answers.pairs("iris", 1, 3), answers.pairs("other", 1, 2)) == (
        (1, 0),
        (1, 0),
        (0, 0),
    )


def test_of_quantities_the_nearer_one_wins_and_ties_do_not_count(database: Database) -> None:
    answers, labels = ShadowAnswers(database), FeedbackStore(database)
    said = [(9.0, 12.0), (11.5, 12.0), (8.0, 12.0), (7.0, 12.0), (5.0, 9.0)]  # shadow, active; the truth is 10
    answers.keep([answer(n, shadow) for n, (shadow, _) in enumerate(said)], oldest_s=0)
    labels.add([labelled(n, active, 10, quantity=True) for n, (_, active) in enumerate(said)], oldest_s=0)

    assert answers.pairs("iris", 1, 2) == (2, 2)


def test_the_oldest_answers_go(database: Database) -> None:
    answers, labels = ShadowAnswers(database, most_kept=3, prune_every_s=0), FeedbackStore(database)
    labels.add([labelled(n, 0, 1) for n in range(1, 7)], oldest_s=0)
    answers.keep([answer(n, 1, time_s=10 * n) for n in range(1, 5)], oldest_s=0)
    assert answers.pairs("iris", 1, 2) == (3, 0)

    answers.keep([answer(5, 1, time_s=50)], oldest_s=45)

    assert answers.pairs("iris", 1, 2) == (1, 0)
    seldom = ShadowAnswers(database, most_kept=1, prune_every_s=60)
    for number in (6, 7):
        seldom.keep([answer(number, 1, time_s=60)], oldest_s=0)
    assert answers.pairs("iris", 1, 2) == (1, 0)
