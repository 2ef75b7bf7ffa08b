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
class Contest:
    """The candidate and the active version on the same test rows, which neither was trained on.

    Attributes:
        candidate: evaluation of the candidate on these rows; `active` is that of the active version.
        mean: by how much the candidate's loss per row is smaller on average.
        standard_error: standard error of that mean; infinite for a single row.
        seen: test rows that are left out here because the active version was trained on them; None if it is unknown
            on which rows it was trained.
    """

    candidate: Evaluation
    active: Evaluation
    mean: float
    standard_error: float
    seen: int | None = 0


@dataclass(frozen=True)
class Champion:
    """The active version, as measured on the candidate's test rows.

    Attributes:
        contest: the comparison on the candidate's test rows; None if it cannot be measured on them.
        problem: why it cannot be measured, as the end of a sentence.
        broken: whether its files are damaged or missing, so that any sound candidate may replace it.
    """

    version: int
    contest: Contest | None = None
    problem: str = ""
    broken: bool = False


def decide(
    policy: Activation, rule: GateRule, candidate: Evaluation, skill: Skill, champion: Champion | None
) -> GateReport:
    """Return the verdict on a candidate.

    The candidate must always show skill and reach the minimum recalls (see `GateRule`). Without an active version, or
    with a broken one, it must be at least as accurate as the majority class. With a sound active version, it must be
    more accurate than the majority class, not less accurate than the active version, and its deciding metric must be
    better than the active version's by more than the rule's margin and margin of error.

    Args:
        policy: `always` and `never` decide regardless of the metrics, which are reported all the same.
        rule: rule of the recipe.
        candidate: evaluation of the candidate on the test rows.
        skill: its improvement on the majority class on the same rows.
        champion: the version to replace, measured on the same rows; None if none is active.
    """
    passed, reason = _judge(policy, rule, candidate, skill, champion)
    contest = champion.contest if champion else None
    return GateReport(
        policy=policy,
        passed=passed,
        reason=reason,
        active_version=champion.version if champion else None,
        candidate_log_loss=contest.candidate.log_loss if contest else candidate.log_loss,
        active_log_loss=contest.active.log_loss if contest else None,
        rows=contest.candidate.rows if contest else candidate.rows,
        seen_rows=contest.seen if contest else None,
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
    if champion.contest is None:
        return champion.broken, f"version {champion.version}, the active one, {champion.problem}"
    return _compare(rule, champion.version, champion.contest)


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


def _compare(rule: GateRule, version: int, contest: Contest) -> tuple[bool, str]:
    """Return whether the candidate is better than the sound active version, and the compared figures."""
    candidate, champion = contest.candidate, contest.active
    ours, theirs = candidate.decisive, champion.decisive
    figures = (
        f"{ours.name} {ours.value:.4f} against {theirs.value:.4f} of version {version}, "
        f"accuracy {candidate.accuracy:.4f} against {champion.accuracy:.4f}"
    ) + _say_seen(contest, version)
    if candidate.accuracy < champion.accuracy:
        return False, f"less accurate: {figures}"
    if not ours.is_better(theirs, rule.margin):
        direction = "higher" if ours.greater_is_better else "lower"
        margin = f" by more than {rule.margin:g}" if rule.margin else ""
        return False, f"{ours.name} is not {direction}{margin}: {figures}"
    if rule.margin_errors and not contest.mean > rule.margin_errors * contest.standard_error:
        gain = f"{contest.mean:.4f} ± {contest.standard_error:.4f}"
        return (
            False,
            f"{ours.name} is not better by more than {rule.margin_errors:g} standard errors, {gain}: {figures}",
        )
    return True, f"better: {figures}"


def _say_seen(contest: Contest, version: int) -> str:
    if contest.seen is None:
        return f"; on which rows version {version} was trained is unknown, so it may have seen some of these"
    if contest.seen:
        rows = contest.candidate.rows
        return f"; on {rows} test rows that version {version} was not trained on, without {contest.seen} that it was"
    return ""
