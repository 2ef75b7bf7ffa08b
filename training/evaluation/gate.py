"""The gate: decide from metrics whether a candidate may replace the active version.

It must not know the model store.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstore import Activation, Baseline, Evaluation, GateReport
from training.config.recipe import GateRule


@dataclass(frozen=True)
class Skill:
    """Improvement of a candidate's log loss on that of always predicting the class frequencies of the training rows.

    Attributes:
        mean: mean improvement in nats per test row; negative if the candidate is worse.
        standard_error: standard error of that mean over the test rows; infinite for a single row.
        majority: score of always predicting the class frequencies on the same rows.
    """

    mean: float
    standard_error: float
    majority: Baseline


@dataclass(frozen=True)
class Champion:
    """The active version, as measured on the candidate's test rows.

    Attributes:
        evaluation: evaluation on the candidate's test rows; None if it cannot be measured on them.
        problem: why it cannot be measured, as the end of a sentence.
        broken: whether its files are damaged or missing, so that any sound candidate may replace it.
    """

    version: int
    evaluation: Evaluation | None = None
    problem: str = ""
    broken: bool = False


def decide(
    policy: Activation, rule: GateRule, candidate: Evaluation, skill: Skill, champion: Champion | None
) -> GateReport:
    """Return the verdict on a candidate.

    The candidate must always show skill and reach the minimum recalls (see `GateRule`). Without an active version, or
    with a broken one, it must be at least as accurate as the majority class. With a sound active version, it must be
    more accurate than the majority class, not less accurate than the active version, and its deciding metric must be
    better than the active version's by more than the rule's margin.

    Args:
        policy: `always` and `never` decide regardless of the metrics, which are reported all the same.
        rule: rule of the recipe.
        candidate: evaluation of the candidate on the test rows.
        skill: its improvement on the majority class on the same rows.
        champion: the version to replace, measured on the same rows; None if none is active.
    """
    passed, reason = _judge(policy, rule, candidate, skill, champion)
    measured = champion.evaluation if champion else None
    return GateReport(
        policy=policy,
        passed=passed,
        reason=reason,
        active_version=champion.version if champion else None,
        candidate_log_loss=candidate.log_loss,
        active_log_loss=measured.log_loss if measured else None,
    )


def _judge(
    policy: Activation, rule: GateRule, candidate: Evaluation, skill: Skill, champion: Champion | None
) -> tuple[bool, str]:
    """Return whether the candidate passes, and why."""
    if policy != "if_better":
        return policy == "always", f"the policy is {policy!r}, whatever the figures"
    nothing_to_lose = champion is None or champion.broken
    weakness = _find_weakness(rule, candidate, skill, may_equal_majority=nothing_to_lose)
    if weakness:
        return False, weakness
    if champion is None:
        return True, f"no version is active yet, and {_beside_majority(candidate, skill)}"
    if champion.evaluation is None:
        return champion.broken, f"version {champion.version}, the active one, {champion.problem}"
    return _compare(rule, candidate, champion.version, champion.evaluation)


def _find_weakness(rule: GateRule, candidate: Evaluation, skill: Skill, *, may_equal_majority: bool) -> str | None:
    """Return why a candidate is unfit regardless of the active version, or None."""
    if not skill.mean > rule.min_skill * skill.standard_error:
        return (
            f"no surer than the class frequencies: {candidate.decisive.name} lower by "
            f"{skill.mean:.4f} ± {skill.standard_error:.4f}, the recipe wants {rule.min_skill:g} standard errors"
        )
    lead = candidate.accuracy - skill.majority.accuracy
    if lead < 0 or (lead == 0 and not may_equal_majority):
        return f"no better than the most frequent class: {_beside_majority(candidate, skill)}"
    for name, report in candidate.per_class.items():
        if report.support and report.recall < rule.min_recall:
            return f"recall of class {name!r} is {report.recall:.3f}, the recipe wants {rule.min_recall:.3f}"
    return None


def _beside_majority(candidate: Evaluation, skill: Skill) -> str:
    return f"accuracy {candidate.accuracy:.4f} against {skill.majority.accuracy:.4f} of the most frequent class"


def _compare(rule: GateRule, candidate: Evaluation, version: int, champion: Evaluation) -> tuple[bool, str]:
    """Return whether the candidate is better than the sound active version, and the compared figures."""
    ours, theirs = candidate.decisive, champion.decisive
    figures = (
        f"{ours.name} {ours.value:.4f} against {theirs.value:.4f} of version {version}, "
        f"accuracy {candidate.accuracy:.4f} against {champion.accuracy:.4f}"
    )
    if candidate.accuracy < champion.accuracy:
        return False, f"less accurate: {figures}"
    if not ours.is_better(theirs, rule.margin):
        direction = "higher" if ours.greater_is_better else "lower"
        margin = f" by more than {rule.margin:g}" if rule.margin else ""
        return False, f"{ours.name} is not {direction}{margin}: {figures}"
    return True, f"better: {figures}"
