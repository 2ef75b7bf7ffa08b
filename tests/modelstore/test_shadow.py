"""Which versions may be the shadow of which, and in what words others are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelstore import Manifest, NumericFeature, Signature, Target
from modelstore.shadow import why_unfit
from tests.app.typed import FEATURES
from tests.fakes import MeanModel, manifest_for, script


def manifest(**changes: object) -> Manifest:
    model = MeanModel(2, 0.0)
    made = manifest_for(model, script(model))
    return made.model_copy(update={"features": FEATURES[:2], "target": Target(name="gone")} | changes)


def test_order_and_categories_may_differ() -> None:
    plan = FEATURES[1].model_copy(update={"categories": {"gold": 9}})

    assert why_unfit(manifest(), manifest(features=(plan, FEATURES[0]))) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda: manifest(features=FEATURES[:3]), "also takes the column 'paid'"),
        (lambda: manifest(features=FEATURES[:1]), "does not take the column 'plan'"),
        (lambda: manifest(features=FEATURES), "also takes the columns 'paid', 'since', 'sum'"),
        (
            lambda: manifest(features=(FEATURES[0], _numeric("plan"))),
            "takes the column 'plan' as numeric, not as categorical",
        ),
        (lambda: manifest(classes=("high", "low")), "answers something else: its classes, or its task, are others"),
        (
            lambda: manifest(classes=(), signature=Signature.for_output("value", 1, cells=2)),
            "answers something else: its classes, or its task, are others",
        ),
        (lambda: manifest(target=Target(name="stayed")), "predicts 'stayed', not 'gone'"),
        (lambda: manifest(format_version=1), "cannot answer rows with missing values, which the active version can"),
    ],
)
def test_what_differs_is_said(change: Callable[[], Manifest], problem: str) -> None:
    assert why_unfit(manifest(), change()) == problem


def _numeric(name: str) -> NumericFeature:
    return NumericFeature(name=name, mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)
