"""The limits of a version in words: said where they hold, and not said where they do not."""

from __future__ import annotations

from dataclasses import replace

from app.cards.facts import CardFacts
from app.cards.limits import limits_of
from modelstore import GateReport, Slice, Slices
from tests.app.cards.samples import whole
from tests.modelstore.samples import sample_manifest, sample_regression


def test_rare_classes_and_worse_or_small_parts_are_named() -> None:
    limits = limits_of(whole())

    assert "Rare and unseen values are one category to the model, in 'soil'." in limits
    assert "Classes with fewer than 30 test rows, whose recall and precision are rough: 'virginica' (7)." in limits
    assert "Rare classes, below 5% of the test rows, on which accuracy hardly depends: 'virginica'." in limits
    # (193 * 0.9 + 7 * 0.5) / 200 = 0.886; the interval of a ends at 0.75
    assert "Parts of the test rows with a worse accuracy than all of them (0.886): soil = a (0.6, rows: 40)." in limits
    assert "Parts with fewer than 10 test rows, about which little is known: soil = b (0.25, rows: 4)." in limits
    assert not [limit for limit in limits if "every figure is rough" in limit]


def test_few_test_rows_and_a_gate_that_did_not_pass_are_said() -> None:
    gate = GateReport(policy="if_better", passed=False, reason="worse by 0.1")
    limits = limits_of(CardFacts(1, sample_manifest(gate=gate)))

    assert "There are only 8 test rows, so every figure is rough: see its interval." in limits
    assert "The gate did not pass this version: worse by 0.1" in limits


def test_an_rmse_is_worse_where_it_is_larger() -> None:
    parts: dict[str, tuple[Slice, ...]] = {
        "weight": (Slice(values="1 to 2", rows=100, figure=3.0), Slice(values="2 to 3", rows=100, figure=4.0)),
        "size": (
            Slice(values="small", rows=50, figure=9.0, interval=(8.0, 10.0)),
            Slice(values="large", rows=50, figure=1.0, interval=(0.5, 1.5)),
        ),
    }
    facts = CardFacts(1, sample_regression(slices=Slices(figure="rmse", rows=200, columns=parts)))

    # the root of (9 + 16) / 2
    assert "Parts of the test rows with a worse rmse than all of them (3.54): size = small (9, rows: 50)." in limits_of(
        facts
    )


def test_of_very_many_parts_the_first_are_named_with_the_number_of_the_others() -> None:
    facts = whole()
    assert facts.manifest.slices
    few = tuple(Slice(values=f"v{n}", rows=1, figure=1.0) for n in range(14))
    columns = {**facts.manifest.slices.columns, "soil": few}
    slices = facts.manifest.slices.model_copy(update={"columns": columns})

    (said,) = [
        limit
        for limit in limits_of(replace(facts, manifest=facts.manifest.model_copy(update={"slices": slices})))
        if "little is known" in limit
    ]

    assert said.endswith("soil = v9 (1, rows: 1) and 4 more.")
