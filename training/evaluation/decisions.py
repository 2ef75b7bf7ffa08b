"""Choose classes from probabilities, and how to choose them.

It must not know any model. N is rows and K classes everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import Decision, Notice
from modelstore.trust import Maximised
from training.config.recipe import Recipe
from training.data.dataset import evenly_spread
from training.errors import RecipeError
from training.learners.protocol import Fitted, HeldOut, Report

FEW_ROWS = 50
MOST_ROWS = 20_000
CANDIDATES, CANDIDATES_OF_MANY = 201, 25  # weights of a class that are tried: of two classes, of more
SWEEPS = 3
LEAST = 1e-6  # threshold, and distance of one from 1

Ints = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


def choose_labels(probabilities: npt.NDArray[np.floating[Any]], decision: Decision | None) -> Ints:
    """Return the class chosen for each row, (N,): the most probable one unless there is a decision.

    Among classes of equal cost (to nine digits of the largest one), the first is chosen.
    """
    if decision is None:
        chosen: Ints = probabilities.argmax(axis=1)
    elif decision.threshold is not None:
        chosen = (probabilities[:, 1] >= decision.threshold).astype(np.int64)
    else:
        costs = np.array(decision.costs, dtype=np.float64)  # (K, K)
        expected = probabilities.astype(np.float64) @ costs / (np.abs(costs).max() or 1)  # (N, K)
        chosen = expected.round(9).argmin(axis=1)
    return chosen


def threshold_of(decision: Decision | None) -> float | None:
    """Return the least probability of the second of two classes with which it is chosen; None if it never is.

    Source: Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001, equation 2.
    """
    if decision is None or decision.costs is None:
        return 0.5 if decision is None else decision.threshold
    (right_no, false_alarm), (miss, right_yes) = decision.costs
    regret = (false_alarm - right_no) + (miss - right_yes)
    return (false_alarm - right_no) / regret if regret > 0 else None


def require_fitting(recipe: Recipe, classes: Sequence[str]) -> None:
    """Check that a recipe's policies fit the classes of its data; a regression has none, and so no decision.

    Raises:
        RecipeError: if one does not.
    """
    policy, abstain = recipe.decision, recipe.abstain
    if abstain and (problem := abstain.misfit(len(classes))):
        raise RecipeError(recipe.model, "abstain", problem, ", ".join(abstain.model_dump(exclude_defaults=True)))
    if policy and (problem := policy.misfit(len(classes))):
        raise RecipeError(recipe.model, "decision", problem, next(iter(policy.model_dump(exclude_none=True))))


def choose_decision(recipe: Recipe, fitted: Fitted, report: Report) -> Decision | None:
    """Return the decision that the recipe's policy asks for; None if it has no policy.

    What is to be maximised is so on the held-out answers, calibrated as the model, at most 20,000 of them, evenly
    spread, and reported.

    Raises:
        RecipeError: if there are no such answers.
    """
    policy, held_out = recipe.decision, fitted.held_out
    if policy is None:
        return None
    if policy.maximise is None:
        return Decision(costs=policy.costs, threshold=policy.threshold)
    if held_out is None:
        raise RecipeError(recipe.model, "training.validation_fraction", "more than 0, to choose the decision", 0)
    some = evenly_spread(len(held_out.y), MOST_ROWS)
    held_out = HeldOut(held_out.answers[some], held_out.y[some])  # so that the figures are of the rows that choose
    decision = maximise(policy.maximise, held_out)
    before, after = (
        figure_of(policy.maximise, choose_labels(held_out.answers, rule), held_out.y, held_out.answers.shape[1])
        for rule in (None, decision)
    )
    name, rows = policy.maximise.replace("_", " "), len(held_out.y)
    found = f"a threshold of {decision.threshold:g}" if decision.threshold else "costs of missing each class"
    report(
        Notice(message=f"decision: {name} {after:.4f} by {found}, {before:.4f} without, on the {rows} rows that chose")
    )
    if rows < FEW_ROWS:
        report(Notice(level="warning", message=f"the decision was chosen on {rows} rows only, so others may be better"))
    return decision


def maximise(figure: Maximised, held_out: HeldOut) -> Decision:
    """Return the decision with the best figure on held-out rows."""
    weights = _find_weights(held_out.answers.astype(np.float64), held_out.y, figure)
    if len(weights) == 2:
        threshold = float(f"{weights[0] / weights.sum():.4g}")  # the weighted probabilities are equal there
        return Decision(threshold=min(max(threshold, LEAST), 1 - LEAST), maximise=figure, rows=len(held_out.y))
    missed = np.where(np.eye(len(weights), dtype=bool), 0, weights[:, None])  # (K, K)
    return Decision(costs=tuple(map(tuple, missed.tolist())), maximise=figure, rows=len(held_out.y))


def figure_of(maximised: Maximised, chosen: Ints, y: Ints, classes: int) -> float:
    """Return the figure that a policy makes largest, of chosen classes (N,) and true ones (N,)."""
    confusion = np.bincount(y * classes + chosen, minlength=classes * classes).reshape(classes, classes)  # (K, K)
    hits, support = confusion.diagonal(), confusion.sum(axis=1)
    if maximised == "balanced_accuracy":
        return float((hits[support > 0] / support[support > 0]).mean())
    rows = confusion.sum(axis=0) + support
    f1 = 2 * hits / np.maximum(rows, 1)
    return float(f1[1] if classes == 2 else f1[rows > 0].mean())


def _find_weights(probabilities: Weights, y: Ints, maximised: Maximised) -> Weights:
    """Return weights (K,) by which the weighted most probable class has the best figure, found class by class.

    Source: Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML 2014: the
    best choice is a threshold, of more classes weights.
    """
    classes = probabilities.shape[1]
    weights = np.ones(classes)
    for _ in range(SWEEPS if classes > 2 else 1):
        for k in range(1 if classes == 2 else 0, classes):
            weights[k] = _find_weight(k, probabilities, y, weights, maximised)
    scaled: Weights = weights / weights.max()
    return scaled


def _find_weight(k: int, probabilities: Weights, y: Ints, weights: Weights, maximised: Maximised) -> float:
    """Return the best weight of a class beside the others': the middle of equal ones, or its own if none is better."""
    others = probabilities * weights
    others[:, k] = -1
    rival, strongest = others.argmax(axis=1), others.max(axis=1)
    odds = strongest / probabilities[:, k].clip(min=1e-12)  # the class wins with a weight above it
    tried = np.unique(np.append(_propose_weights(odds, y == k, len(weights)), weights[k]))
    chosen = (np.where(weight * probabilities[:, k] > strongest, k, rival) for weight in tried)
    figures = [figure_of(maximised, one, y, len(weights)) for one in chosen]
    best = tried[np.isclose(figures, max(figures), rtol=0, atol=1e-12)]
    return float(weights[k] if weights[k] in best else best[len(best) // 2])


def _propose_weights(odds: Weights, positive: npt.NDArray[np.bool_], classes: int) -> Weights:
    """Return weights with which the class wins some of its own rows, evenly spread, each between two rows' odds."""
    own, every = np.sort(odds[positive]), np.sort(odds)
    if not len(own):
        return own
    tried = CANDIDATES if classes == 2 else CANDIDATES_OF_MANY
    last_won = own[np.linspace(0, len(own) - 1, tried).astype(np.int64)]
    following = every[np.searchsorted(every, last_won, "right").clip(max=len(every) - 1)]
    between: Weights = np.sqrt(last_won * following) * (
        1 + 1e-9
    )  # above the odds of the last row, even if they are equal
    return between
