"""Facts of versions for tests of all formats: one with everything, one with hostile names."""

from __future__ import annotations

from datetime import date

from app.cards.facts import CardFacts, LiveFigures
from modelstore import (
    AbstainPolicy,
    BooleanFeature,
    CardStatements,
    CategoricalFeature,
    ClassReport,
    ColumnImportance,
    Conformal,
    DatetimeFeature,
    Decision,
    Importance,
    LeftOut,
    Slice,
    Slices,
    Target,
)
from tests.modelstore.samples import EVALUATION, petal, sample_manifest

ATTACK = '<script>alert("1")</script>'
FEATURES = (
    petal("petal length", 0.5),
    CategoricalFeature(name="soil", categories=dict.fromkeys("abcdefg", 20), other=3, missing=2),
    BooleanFeature(name="wild", true_values=("yes",), false_values=("no",), true=10, false=22),
    DatetimeFeature(name="found", min="2019-01-01", max="2020-12-31", quantiles=(18000.0,) * 9),
)
REPORT = ClassReport(precision=0.5, recall=0.5, f1=0.5, support=0)


def whole() -> CardFacts:
    """Return the facts of a version that has everything; its golden rows do not fit, which `model_copy` allows."""
    evaluation = EVALUATION.model_copy(
        update={
            "rows": 200,
            "per_class": {
                "versicolor": REPORT.model_copy(update={"support": 193}),
                "virginica": REPORT.model_copy(update={"support": 7}),
            },
            "calibration_band": (0.0, 0.1),
            "intervals": {"accuracy": (0.8, 0.9)},
        }
    )
    slices = Slices(
        figure="accuracy",
        rows=200,
        columns={
            "species": (
                Slice(values="versicolor", rows=193, figure=0.9, interval=(0.85, 0.94)),
                Slice(values="virginica", rows=7, figure=0.5, interval=(0.2, 0.8)),
            ),
            "soil": (
                Slice(values="a", rows=40, figure=0.6, interval=(0.4, 0.75)),
                Slice(values="b", rows=4, figure=0.25, interval=(0.05, 0.7)),
            ),
        },
    )
    manifest = sample_manifest().model_copy(
        update={
            "features": FEATURES,
            "target": Target(name="species", missing=3),
            "metrics": {"test": evaluation},
            "left_out": (LeftOut(name="id", reason="id", detail="'id' is different in each row"),),
            "decision": Decision(costs=((0, 1), (5, 0))),
            "temperature": 1.25,
            "abstain": AbstainPolicy(below=0.8),
            "conformal": Conformal(
                score="lac",
                rows=3,
                source="split",
                guarantee="marginal",
                scores=(0.1, 0.2, 0.6),
                test_coverage={"0.9": (3, 4)},
            ),
            "importance": Importance(
                figure="log_loss",
                rows=30,
                repeats=30,
                columns={"soil": ColumnImportance(mean=0.4, interval=(0.3, 0.5))},
            ),
            "slices": slices,
            "warnings": ("two columns say the same",),
            "card": CardStatements(owner="botanists", intended_use="herbaria"),
        }
    )
    stated = CardStatements(owner="the garden", sensitive_columns=("found",), review_date=date(2027, 1, 2))
    live = LiveFigures(30, 40, {"accuracy": 0.75, "mean_confidence": 0.7}, {"accuracy": (0.6, 0.86)})
    return CardFacts(3, manifest, stated, active=True, pictures=("loss.png",), request="curl localhost", live=live)


def attacked() -> CardFacts:
    """Return the facts of a version with markup in every text that a stranger can choose."""
    facts = whole()
    feature = FEATURES[1].model_copy(update={"name": ATTACK, "unit": ATTACK, "categories": {ATTACK: 20}})
    manifest = facts.manifest.model_copy(
        update={
            "features": (feature,),
            "classes": (ATTACK, f"{ATTACK}2"),
            "description": ATTACK,
            "left_out": (LeftOut(name=ATTACK, reason="id", detail=ATTACK),),
            "warnings": (ATTACK,),
            "target": Target(name=ATTACK),
            "slices": Slices(
                figure="accuracy", rows=200, columns={ATTACK: (Slice(values=ATTACK, rows=200, figure=0.5),)}
            ),
        }
    )
    stated = CardStatements(
        owner=ATTACK,
        licence=ATTACK,
        intended_use=ATTACK,
        affected_people=ATTACK,
        risks=ATTACK,
        oversight=ATTACK,
        sensitive_columns=(ATTACK,),
    )
    return CardFacts(3, manifest, stated, request=f"curl -d '{ATTACK}'")
