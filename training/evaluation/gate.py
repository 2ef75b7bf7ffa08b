"""The gate: decide from metrics whether a candidate may replace the active version.

It must not know the model store.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstore import Activation, Baseline, Evaluation, GateReport
from training.config.recipe import GateRule

Policy = Activation


@dataclass(frozen=True)
class Skill:
    """Improvement of a candidate's log loss on that of always predicting the class frequencies of the training rows.

    Attributes:
        mean: mean improvement in nats per test row; negative if the candidate is worse.
        standard_error: standard error of that mean over the test rows; infinite for a single row.
    """

    mean: float
    standard_error: float


@dataclass(frozen=True)
class Contender:
    """The candidate, as measured on the test rows.

    Attributes:
        evaluation: evaluation on the test rows.
        majority: score of always predicting the class frequencies on the same rows.
        skill: improvement on that, with its standard error.
    """

    evaluation: Evaluation
    majority: Baseline
    skill: Skill


@dataclass(frozen=True)
class Rival:
    """The champion: the active version, as measured on the candidate's test rows.

    Attributes:
        evaluation: evaluation on the candidate's test rows; None if it cannot be measured on them.
        problem: why it cannot be measured, as the end of a sentence.
        broken: whether its files are damaged or missing, so that any sound candidate may replace it.
    """

    version: int
    evaluation: Evaluation | None = None
    problem: str = ""
    broken: bool = False


def decide(policy: Policy, rule: GateRule, candidate: Contender, active: Rival | None) -> GateReport:
    """Return the verdict on a candidate.

    The candidate must always show skill and reach the minimum recalls (see `GateRule`). Without an active version, or
    with a broken one, it must be at least as accurate as the majority class. With a sound active version, it must be
    more accurate than the majority class, not less accurate than the active version, and have a log loss lower than
    the active version's by more than the rule's margin.

    Args:
        policy: `always` and `never` decide regardless of the metrics, which are reported all the same.
        rule: rule of the recipe.
        candidate: the candidate, measured on the test rows.
        active: the version to replace, measured on the same rows; None if none is active.
    """
    passed, reason = _verdict(policy, rule, candidate, active)
    rival = active.evaluation if active else None
    return GateReport(
        policy=policy,
        passed=passed,
        reason=reason,
        active_version=active.version if active else None,
        candidate_log_loss=candidate.evaluation.log_loss,
        active_log_loss=rival.log_loss if rival else None,
    )


def _verdict(policy: Policy, rule: GateRule, candidate: Contender, active: Rival | None) -> tuple[bool, str]:
    if policy != "if_better":
        return policy == "always", f"the policy is {policy!r}, whatever the figures"
    nothing_to_lose = active is None or active.broken
    weakness = _weakness(rule, candidate, may_equal_majority=nothing_to_lose)
    if weakness:
        return False, weakness
    if active is None:
        return True, f"no version is active yet, and {_against_majority(candidate)}"
    if active.evaluation is None:
        return active.broken, f"version {active.version}, the active one, {active.problem}"
    return _duel(rule, candidate.evaluation, active.version, active.evaluation)


def _weakness(rule: GateRule, candidate: Contender, *, may_equal_majority: bool) -> str | None:
    """Return why a candidate is unfit regardless of the active version, or None."""
    skill = candidate.skill
    if not skill.mean > rule.min_skill * skill.standard_error:
        return (
            f"no surer than the class frequencies: log loss lower by {skill.mean:.4f} ± {skill.standard_error:.4f}, "
            f"the recipe wants {rule.min_skill:g} standard errors"
        )
    lead = candidate.evaluation.accuracy - candidate.majority.accuracy
    if lead < 0 or (lead == 0 and not may_equal_majority):
        return f"no better than the most frequent class: {_against_majority(candidate)}"
    for name, report in candidate.evaluation.per_class.items():
        if report.support and report.recall < rule.min_recall:
            return f"recall of class {name!r} is {report.recall:.3f}, the recipe wants {rule.min_recall:.3f}"
    return None


def _against_majority(candidate: Contender) -> str:
    ours, theirs = candidate.evaluation.accuracy, candidate.majority.accuracy
    return f"accuracy {ours:.4f} against {theirs:.4f} of the most frequent class"


def _duel(rule: GateRule, candidate: Evaluation, version: int, active: Evaluation) -> tuple[bool, str]:
    figures = (
        f"log loss {candidate.log_loss:.4f} against {active.log_loss:.4f} of version {version}, "
        f"accuracy {candidate.accuracy:.4f} against {active.accuracy:.4f}"
    )
    if candidate.accuracy < active.accuracy:
        return False, f"less accurate: {figures}"
    if not candidate.log_loss < active.log_loss - rule.margin:
        margin = f" by more than {rule.margin:g}" if rule.margin else ""
        return False, f"log loss is not lower{margin}: {figures}"
    return True, f"better: {figures}"
