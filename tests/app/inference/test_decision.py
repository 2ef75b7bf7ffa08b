from __future__ import annotations

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference.decision import Override, apply_override, choose, find_winners
from app.schema import ModelSchema
from modelstore import Decision, NumericFeature, Task
from training.evaluation.decisions import choose_labels

FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)


def schema(classes: int, decision: Decision | None = None) -> ModelSchema:
    names = [f"class {k}" for k in range(classes)]
    task: Task = "classification" if classes else "regression"
    return ModelSchema.of_features("it", 1, [FEATURE], names, task=task, decision=decision)


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_classes_are_chosen_as_in_training_whatever_the_other_rows(classes: int) -> None:
    generator = np.random.default_rng(classes)
    outputs = generator.dirichlet(np.ones(classes), 3000).astype(np.float32)
    outputs[::7] = 1 / classes  # equal costs
    costs = tuple(map(tuple, (1.0 - np.eye(classes)).tolist()))
    rules = [Decision(costs=costs), Decision(costs=tuple(map(tuple, generator.random((classes, classes)).tolist())))]
    rules += [Decision(threshold=0.2)] if classes == 2 else []

    for rule in rules:
        chosen = choose(outputs, rule)
        assert np.array_equal(chosen, choose_labels(outputs, rule))
        assert np.array_equal(chosen, np.concatenate([choose(outputs[row : row + 1], rule) for row in range(3000)]))
    assert np.array_equal(choose(outputs, rules[0]), outputs.argmax(axis=1))
    assert np.array_equal(find_winners(np.ascontiguousarray(outputs.T)), outputs.argmax(axis=1))


def test_a_threshold_is_compared_in_the_precision_of_the_answers() -> None:
    third = np.array([[0.7, 0.3]], dtype=np.float32)

    assert float(third[0, 1]) != 0.3
    assert choose(third, Decision(threshold=0.3)).tolist() == [1]


def test_an_override_changes_the_decision_only() -> None:
    own = schema(2, Decision(threshold=0.3))

    most_probable, other = apply_override(own, Override()), apply_override(own, Override(0.9))

    assert apply_override(own, None) is own
    assert (most_probable.decision, most_probable.kind) == (None, "classification")
    assert (other.decision, other.kind, other.classes) == (Decision(threshold=0.9), "decision", own.classes)
    assert apply_override(own, Override(0.9)) is other


def test_an_override_must_fit_the_classes() -> None:
    with pytest.raises(InvalidInput, match="threshold: is for two classes; it has 3"):
        apply_override(schema(3), Override(0.5))
    with pytest.raises(InvalidInput, match="decision: is for classes; it answers a quantity"):
        apply_override(schema(0), Override())
    with pytest.raises(InvalidInput, match=r"^parameters\.threshold: is for classes; it answers a quantity"):
        apply_override(schema(0), Override(0.5), "parameters.")
