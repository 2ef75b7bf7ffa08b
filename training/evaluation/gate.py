"""The gate: decide from metrics whether a candidate may replace the active version.

It must not know the model store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelstore import Activation, AnyBaseline, AnyEvaluation, Evaluation, GateReport, Metric
from modelstore.evaluation import format_figure
from training.config.recipe import GateRule

Verdict = Literal["active", "shadow", "stored"]  # a stored candidate neither serves nor is compared

_FIELDS = {"log loss": "log_loss", "RMSE": "rmse"}  # field of the report for each deciding metric
_NAIVE = {  # what the naive baseline is called, and which of its losses a candidate must undercut
    "majority": ("no surer than the class frequencies: log loss", "the most frequent class"),
    "mean": ("no better than the mean: mean squared error", "the mean"),
}


@dataclass(frozen=True)
class Skill:
    """Improvement of a candidate's loss on that of the naive baseline.

    The loss is the log loss and the baseline the class frequencies of the training rows or, of a regression, the
    squared error and the mean of the training rows.

    Attributes:
        mean: mean improvement per test row; negative if the candidate is worse.
        standard_error: standard error of that mean over the test rows; infinite for a single row.
        score: score of the naive baseline on the same rows.
        naive: its name.
    """

    mean: float
    standard_error: float
    score: AnyBaseline
    naive: str = "majority"


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

    candidate: AnyEvaluation
    active: AnyEvaluation
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
        other: whether it takes other columns or answers something else, so that it has no such candidate as its shadow.
    """

    version: int
    contest: Contest | None = None
    problem: str = ""
    broken: bool = False
    other: bool = False


def decide(
    policy: Activation, rule: GateRule, candidate: AnyEvaluation, skill: Skill, champion: Champion | None
) -> GateReport:
    """Return the verdict on a candidate.

    The candidate must always show skill and reach the minimum recalls (see `GateRule`). Without an active version, or
    with a broken one, it must be at least as accurate as the naive baseline. With a sound active version, it must be
    more accurate than the naive baseline, not less accurate than the active version, and its deciding metric must be
    better than the active version's by more than the rule's margin and margin of error. Of a regression, accuracy is
    R2. With `if_better_live`, a candidate with skill beside a sound active version becomes its shadow, whatever the
    comparison says.

    Args:
        policy: `always` and `never` decide regardless of the metrics, which are reported all the same.
        rule: rule of the recipe.
        candidate: evaluation of the candidate on the test rows.
        skill: its improvement on the naive baseline on the same rows.
        champion: the version to replace, measured on the same rows; None if none is active.
    """
    verdict, reason = _judge(policy, rule, candidate, skill, champion)
    contest = champion.contest if champion else None
    report = GateReport(
        policy=policy,
        passed=verdict == "active",
        shadow=verdict == "shadow" or None,
        reason=reason,
        active_version=champion.version if champion else None,
        rows=contest.candidate.rows if contest else candidate.rows,
        seen_rows=contest.seen if contest else None,
    )
    measured = {"candidate": contest.candidate, "active": contest.active} if contest else {"candidate": candidate}
    figures = {f"{who}_{_FIELDS[found.decisive.name]}": found.decisive.value for who, found in measured.items()}
    return report.model_copy(update=figures)


def _judge(
    policy: Activation, rule: GateRule, candidate: AnyEvaluation, skill: Skill, champion: Champion | None
) -> tuple[Verdict, str]:
    """Return the verdict and its reason."""
    if policy in ("always", "never"):
        return "active" if policy == "always" else "stored", f"the policy is {policy!r}, whatever the figures"
    may_equal_naive = champion is None or champion.broken
    weakness = _find_weakness(rule, candidate, skill, may_equal_naive=may_equal_naive)
    if weakness:
        return "stored", weakness
    if champion is None:
        return "active", f"no version is active yet, and {_describe_naive(candidate, skill)}"
    if champion.contest is None:
        passed, compared = champion.broken, f"version {champion.version}, the active one, {champion.problem}"
    else:
        passed, compared = _compare(rule, champion.version, champion.contest)
    if policy == "if_better_live" and not (champion.broken or champion.other):
        return "shadow", f"labels must show first that it is better than version {champion.version}; {compared}"
    return "active" if passed else "stored", compared


def _find_weakness(rule: GateRule, candidate: AnyEvaluation, skill: Skill, *, may_equal_naive: bool) -> str | None:
    """Return why a candidate is unfit regardless of the active version, or None."""
    if not skill.mean > rule.min_skill * skill.standard_error:
        weaker, _ = _NAIVE[skill.naive]
        gain = f"{format_figure(skill.mean)} ± {format_figure(skill.standard_error)}"
        return f"{weaker} lower by {gain}, the recipe wants {rule.min_skill:g} standard errors"
    ours, theirs = candidate.headline[0], skill.score.headline[0]
    if not ours.is_better(theirs) and not (ours.value == theirs.value and may_equal_naive):
        _, named = _NAIVE[skill.naive]
        return f"no better than {named}: {_describe_naive(candidate, skill)}"
    for name, report in candidate.per_class.items() if isinstance(candidate, Evaluation) else ():
        if report.support and report.recall < rule.min_recall:
            return f"recall of class {name!r} is {report.recall:.3f}, the recipe wants {rule.min_recall:.3f}"
    return None


def _describe_naive(candidate: AnyEvaluation, skill: Skill) -> str:
    _, named = _NAIVE[skill.naive]
    return f"{_format_pair(candidate.headline[0], skill.score.headline[0])} of {named}"


def _format_pair(ours: Metric, theirs: Metric) -> str:
    return f"{ours.name} {ours.text} against {theirs.text}"


def _compare(rule: GateRule, version: int, contest: Contest) -> tuple[bool, str]:
    """Return whether the candidate is better than the sound active version, and the compared figures."""
    candidate, champion = contest.candidate, contest.active
    ours, theirs = candidate.decisive, champion.decisive
    accuracies = candidate.headline[0], champion.headline[0]
    figures = f"{_format_pair(ours, theirs)} of version {version}, {_format_pair(*accuracies)}"
    figures += _describe_seen(contest, version)
    if accuracies[1].is_better(accuracies[0]):
        return False, f"less accurate: {figures}"
    if not ours.is_better(theirs, rule.margin):
        direction = "higher" if ours.greater_is_better else "lower"
        margin = f" by more than {rule.margin:g}" if rule.margin else ""
        return False, f"{ours.name} is not {direction}{margin}: {figures}"
    if rule.margin_errors and not contest.mean > rule.margin_errors * contest.standard_error:
        gain = f"{format_figure(contest.mean)} ± {format_figure(contest.standard_error)}"
        loss = "mean squared error" if ours.name == "RMSE" else ours.name
        return (False, f"{loss} is not better by more than {rule.margin_errors:g} standard errors, {gain}: {figures}")
    return True, f"better: {figures}"


def _describe_seen(contest: Contest, version: int) -> str:
    if contest.seen is None:
        return f"; on which rows version {version} was trained is unknown, so it may have seen some of these"
    if contest.seen:
        rows = contest.candidate.rows
        return f"; on {rows} test rows that version {version} was not trained on, without {contest.seen} that it was"
    return ""
