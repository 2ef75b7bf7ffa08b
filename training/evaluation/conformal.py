"""Score held-out rows, so that sets and intervals hold the truth of a chosen share of rows.

It must not know any learner. N is rows and K classes everywhere. Of classes, a score is 1 less the probability of the
true one; of a quantity, the distance of the answer from the truth, divided by a spread if intervals are narrower so.

Sources: Sadinle, Lei & Wasserman, "Least Ambiguous Set-Valued Classifiers", JASA 114, 2019 (classes, also by class);
Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113, 2018, section 5.2 (scaled distances).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from modelstore import Conformal
from modelstore.conformal import rank_of, score_at, thin
from modelstore.trust import ClassScores, Spread
from training.learners.protocol import HeldOut

AnyFloats = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]
Source = Literal["split", "out_of_fold", "validation"]

LEVELS = (0.8, 0.9, 0.95)  # measured on test rows
ROWS_OF_A_CLASS = 100  # with so many calibration rows of each class, the classes have scores of their own
BIN_ROWS, MOST_BINS = 50, 10  # of the spread, by answer
POWERS = (1.0, 0.75, 0.5)  # of the spread, the first that does is taken
MOST_WIDER = 1.1  # than intervals of one width, at any level
SMALLEST_SPREAD = 0.1  # of the mean one: a few lucky rows must not make an interval all but empty


def score_classes(held_out: HeldOut, classes: Sequence[str], source: Source, *, exact: bool) -> Conformal:
    """Return the scores of rows with class probabilities.

    Args:
        held_out: probabilities (N, K) and true classes (N,), N >= 1.
        classes: names of the classes, K.
        source: whose answers these are.
        exact: whether they are the model's own, for rows as exchangeable with new ones as can be.
    """
    scores = 1 - held_out.answers[np.arange(len(held_out.y)), held_out.y].astype(np.float64)
    counts = np.bincount(held_out.y, minlength=len(classes))
    if exact and counts.min() >= ROWS_OF_A_CLASS:
        own = {
            name: ClassScores(rows=int(counts[k]), scores=_thin_sorted(scores[held_out.y == k]))
            for k, name in enumerate(classes)
        }
        return Conformal(score="lac", rows=len(scores), source=source, guarantee="class", per_class=own)
    guarantee: Literal["marginal", "approximate"] = "marginal" if exact else "approximate"
    return Conformal(score="lac", rows=len(scores), source=source, guarantee=guarantee, scores=_thin_sorted(scores))


def score_values(held_out: HeldOut, learnt_from: HeldOut | None, source: Source, *, exact: bool) -> Conformal:
    """Return the scores of rows with answered values.

    Args:
        held_out: values (N, 1) and truths (N,), N >= 1.
        learnt_from: rows from which the spread is learnt; other rows than `held_out`, where scores are to be exact.
        source: whose answers these are.
        exact: as in `score_classes`.
    """
    values, errors = _values_and_errors(held_out)
    spread = None if learnt_from is None else learn_spread(*_values_and_errors(learnt_from))
    return Conformal(
        score="scaled" if spread else "absolute",
        rows=len(errors),
        source=source,
        guarantee="marginal" if exact else "approximate",
        scores=_thin_sorted(errors / spread_at(spread, values)),
        spread=spread,
    )


def learn_spread(values: AnyFloats, errors: AnyFloats) -> Spread | None:
    """Return how the mean distance from the truth depends on the answer; None if intervals are no narrower with it.

    Whether they are, on average over the levels and without being wider by a tenth at any, is found out on the half of
    the rows that the spread was not learnt from. If not, smaller powers of the spread are tried: widths differ less
    then, and large answers are covered less often than small ones.

    Args:
        values: answers, (N,).
        errors: their distances from the truth, (N,).
    """
    half = np.random.default_rng(0).permutation(len(values)) % 2 == 0
    tried, whole = _bin_errors(values[half], errors[half]), _bin_errors(values, errors)
    if tried is None or whole is None:
        return None
    for power in POWERS:
        ratios = _compare_widths(_raise_to(tried, power), values[~half], errors[~half])
        if np.mean(ratios) < 1 and max(ratios) <= MOST_WIDER:
            return _raise_to(whole, power)
    return None


def spread_at(spread: Spread | None, values: AnyFloats) -> Floats:
    """Return the spread of answers, (N,); 1 if there is none."""
    if spread is None:
        return np.ones(len(values))
    found: Floats = np.interp(values, spread.values, spread.spreads)
    return found


def find_covered(
    conformal: Conformal, held_out: HeldOut, classes: Sequence[str], level: float
) -> npt.NDArray[np.bool_]:
    """Return which rows have their truth in the set, or interval, of a level, (N,)."""
    if conformal.score != "lac":
        values, errors = _values_and_errors(held_out)
        limit = score_at(level, conformal.scores or (), conformal.rows)
        inside: npt.NDArray[np.bool_] = errors / spread_at(conformal.spread, values) <= limit
        return inside
    scores = 1 - held_out.answers[np.arange(len(held_out.y)), held_out.y].astype(np.float64)
    return scores <= np.array(conformal.limits(classes, level))[held_out.y]  # type: ignore[no-any-return]


def measure_coverage(conformal: Conformal, test: HeldOut, classes: Sequence[str]) -> Conformal:
    """Return the scores with what sets of the usual levels hold on test rows, of which there may be none."""
    measured = {
        f"{level:g}": (int(find_covered(conformal, test, classes, level).sum()), len(test.y))
        for level in LEVELS
        if len(test.y)
    }
    return conformal.model_copy(update={"test_coverage": measured})


def _bin_errors(values: AnyFloats, errors: AnyFloats) -> Spread | None:
    """Return the mean error in bins of equally many answers; None for too few rows, or without any error."""
    bins = min(MOST_BINS, len(values) // BIN_ROWS)
    if bins < 2 or not errors.any():
        return None
    parts = np.array_split(np.argsort(values, kind="stable"), bins)
    centres = np.maximum.accumulate([values[part].mean() for part in parts])  # means of equal answers are rounded
    means = {float(centre): float(errors[part].mean()) for centre, part in zip(centres, parts, strict=True)}
    least = SMALLEST_SPREAD * float(errors.mean())
    if len(means) < 2:
        return None
    return Spread(values=tuple(means), spreads=tuple(max(mean, least) for mean in means.values()))


def _raise_to(spread: Spread, power: float) -> Spread:
    """Return the spread with each value raised to a power."""
    return spread.model_copy(update={"spreads": tuple(one**power for one in spread.spreads)})


def _compare_widths(spread: Spread, values: AnyFloats, errors: AnyFloats) -> list[float]:
    """Return the mean width of intervals over that without a spread, at the same coverage, of each level."""
    spreads = spread_at(spread, values)
    return [
        _quantile(errors / spreads, level) * float(spreads.mean()) / max(_quantile(errors, level), 1e-300)
        for level in LEVELS
    ]


def _values_and_errors(held_out: HeldOut) -> tuple[Floats, Floats]:
    values = held_out.answers[:, 0].astype(np.float64)
    return values, np.abs(values - held_out.y)


def _quantile(scores: AnyFloats, level: float) -> float:
    """Return the score of a level, or the largest."""
    return float(np.sort(scores)[min(rank_of(level, len(scores)), len(scores)) - 1])


def _thin_sorted(scores: Floats) -> tuple[float, ...]:
    return thin(np.sort(scores).tolist())
