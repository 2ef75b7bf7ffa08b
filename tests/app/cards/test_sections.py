"""The sections of a card: all for a version with everything, no empty ones for one without."""

from __future__ import annotations

from app.cards.blocks import Block, Paragraph, Table
from app.cards.facts import CardFacts
from app.cards.sections import sections_of
from modelstore.search import Search, Trial
from tests.app.cards.samples import whole
from tests.modelstore.samples import sample_manifest, sample_regression

TITLES = [
    *("What it predicts", "What people state", "Limits", "Data", "Columns", "Training", "Figures", "Figures by class"),
    *("Figures on parts of the test rows", "Live figures", "Calibration and coverage", "Importance of columns"),
    *("Decision", "Gate", "Lineage", "Pictures", "How to call it"),
]


def section(facts: CardFacts, title: str) -> list[Block]:
    (found,) = (one for one in sections_of(facts) if one.title == title)
    return list(found.blocks)


def test_a_version_that_has_everything_has_every_section() -> None:
    assert [one.title for one in sections_of(whole())] == TITLES


def test_sections_without_content_are_left_out() -> None:
    titles = [one.title for one in sections_of(CardFacts(1, sample_manifest()))]
    missing = {*TITLES[8:10], "Importance of columns", "Pictures", "How to call it"}

    assert titles == [title for title in TITLES if title not in missing]
    absent = {*missing, "Figures by class", "Decision", "Calibration and coverage"}
    assert [one.title for one in sections_of(CardFacts(1, sample_regression()))] == [
        title for title in TITLES if title not in absent
    ]


def test_what_nobody_stated_is_shown_as_not_stated() -> None:
    (table,) = section(whole(), "What people state")

    assert isinstance(table, Table)
    assert ("owner", "the garden") in table.rows
    assert [row[0] for row in table.rows if row[1] == "not stated"] == [
        "licence",
        "out of scope use",
        "affected people",
        "risks",
        "oversight",
    ]


def test_figures_have_their_intervals_and_slices_theirs() -> None:
    _, figures = section(whole(), "Figures")
    _, slices = section(whole(), "Figures on parts of the test rows")

    assert isinstance(figures, Table)
    assert figures.rows[:2] == [("accuracy", "0.8750", "0.8000 to 0.9000"), ("log loss", "0.2500", "")]
    assert isinstance(slices, Table)
    assert slices.rows[-1] == ("soil", "b", "4", "0.2500", "0.0500 to 0.7000")


def test_costs_of_a_decision_are_a_table_by_truth() -> None:
    table = section(whole(), "Decision")[-1]

    assert table == Table(
        ("truth", "versicolor", "virginica"), [("versicolor", "0.0000", "1.0000"), ("virginica", "5.0000", "0.0000")]
    )


def test_settings_that_were_searched_for_are_said() -> None:
    search = Search(
        wanted=2,
        metric="log_loss",
        judged_by="validation rows",
        trials=(Trial(settings={}, loss=0.5), Trial(settings={"lr": 0.01}, loss=0.4)),
        best=1,
    )

    blocks = section(CardFacts(1, sample_manifest(search=search)), "Training")

    assert Paragraph("2 settings were tried, judged by validation rows; the best: lr 0.01.") in blocks


def test_coverage_has_its_interval_and_abstaining_its_rules() -> None:
    *_, said, table = section(whole(), "Calibration and coverage")

    text = "Prediction sets of any level can be asked for, by scores of 3 rows (split); the guarantee is marginal."
    assert said == Paragraph(text)
    # 3 of 4 and Wilson's interval
    assert isinstance(table, Table)
    assert table.rows == [("0.9", "0.7500", "0.3006 to 0.9544")]
    assert section(whole(), "Decision")[0] == Paragraph("Nothing is decided where a row is uncertain (below: 0.8).")
