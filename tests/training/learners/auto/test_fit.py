"""The learner that tries learners."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from modelstore import EpochMetrics, Notice
from tests.training.learners.auto.fakes import OffLearner, fail
from tests.training.samples import clouds, collect, ignore, slope, typed
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.auto import fit
from training.learners.auto.fit import AutoLearner
from training.learners.auto.members import ProposedMember
from training.learners.auto.networks import NetworksLearner
from training.learners.budget import TimeLimit
from training.learners.linear import LinearLearner
from training.learners.protocol import Event, Fitted, Report, predictor

AUTO = TrainingSettings(learner="auto", seed=3)


def quick(train: Dataset, settings: TrainingSettings, time_limit: TimeLimit) -> tuple[ProposedMember, ...]:
    """Return two real learners that are quick."""
    network = TrainingSettings(hidden=(8,), epochs=20, lr=0.03, seed=settings.seed)
    linear = LinearLearner(TrainingSettings(learner="linear", seed=settings.seed))
    return ProposedMember("linear", linear), ProposedMember("mlp", NetworksLearner(network))


def trained(rows: Dataset, *proposals: ProposedMember, budget_s: float = 60) -> tuple[list[str], Fitted]:
    """Return the messages of a training with these proposals, and its result."""
    settings = TrainingSettings(learner="auto", budget_s=budget_s)
    learner = AutoLearner(settings, propose=lambda *_: proposals)
    events, fitted = collect(lambda report: learner.fit(rows, None, report))
    return [event.message for event in events if isinstance(event, Notice)], fitted


def test_the_weights_are_those_that_make_the_answers_right() -> None:
    rows = slope(100, noise=0)

    messages, fitted = trained(rows, ProposedMember("high", OffLearner(1)), ProposedMember("low", OffLearner(-3)))

    assert [(member.name, member.weight) for member in fitted.members] == [("high", 0.75), ("low", 0.25)]
    np.testing.assert_allclose(predictor(fitted.module)(rows.x)[:, 0], rows.y, rtol=1e-6)
    assert fitted.held_out is not None
    np.testing.assert_allclose(fitted.held_out.answers[:, 0], fitted.held_out.y, rtol=1e-6)
    assert messages == ["auto: high, member 1 of 2", "auto: low, member 2 of 2", "auto: 75% high, 25% low"]


def test_where_the_relation_is_linear_a_linear_model_answers_alone() -> None:
    rows = slope(200)

    events, fitted = collect(lambda report: AutoLearner(AUTO, propose=quick).fit(rows, None, report))

    weights = {member.name: member.weight for member in fitted.members}
    assert weights["linear"] == 1
    assert sum(weights.values()) == 1
    assert not [event for event in events if isinstance(event, EpochMetrics)]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_member_that_fails_is_left_out_with_a_warning(failing: int) -> None:
    rows = slope(100, noise=0)
    proposals = [ProposedMember("good", OffLearner(0)), ProposedMember("good too", OffLearner(1))]
    proposals[failing] = ProposedMember("bad", OffLearner(0, fail))

    messages, fitted = trained(rows, *proposals)

    assert f"auto: bad, member {failing + 1} of 2 is left out: ValueError: too many classes" in messages
    assert [member.name for member in fitted.members] == [proposals[1 - failing].name]


def test_the_failure_of_every_member_is_that_of_the_training() -> None:
    with pytest.raises(ValueError, match="too many classes"):
        trained(slope(100), ProposedMember("bad", OffLearner(0, fail)), ProposedMember("worse", OffLearner(0, fail)))


def test_what_the_caller_raises_is_no_failure_of_a_member() -> None:
    class Stop(BaseException):
        pass

    def report(event: Event) -> None:
        raise Stop

    with pytest.raises(Stop):
        AutoLearner(AUTO, propose=quick).fit(slope(100), None, report)


def test_members_whose_turn_comes_after_three_times_the_budget_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def take_long(_report: Report) -> None:
        now[0] += 31

    proposals = [ProposedMember(name, OffLearner(1, take_long)) for name in ("first", "second")]
    messages, fitted = trained(slope(100), *proposals, budget_s=10)

    assert [member.name for member in fitted.members] == ["first"]
    assert any(
        "second, member 2 of 2 is left out, because it took three times budget_s" in message for message in messages
    )


def test_a_request_to_finish_leaves_out_the_members_that_have_not_begun() -> None:
    requested: list[Report] = []
    proposals = [ProposedMember("first", OffLearner(1, requested.append)), ProposedMember("second", OffLearner(0))]
    learner = AutoLearner(AUTO, propose=lambda *_: proposals, should_end=lambda: bool(requested))

    events, fitted = collect(lambda report: learner.fit(slope(100), None, report))

    assert [member.name for member in fitted.members] == ["first"]
    assert fitted.stopped
    assert any("second, member 2 of 2 is left out, as requested" in str(event) for event in events)


def test_of_very_many_rows_some_are_learnt_from_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MOST_ROWS", 50)

    messages, fitted = trained(slope(100), ProposedMember("good", OffLearner(0)))

    assert messages[0] == "auto: learns from 50 of 100 rows, evenly spread"
    assert fitted.held_out is not None
    assert len(fitted.held_out.y) == 50


def test_of_very_many_rows_those_that_are_learnt_from_have_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MOST_ROWS", 50)
    rows = replace(clouds(200, features=1), y=(np.arange(200) == 42).astype(np.int64))

    _, fitted = trained(rows, ProposedMember("linear", LinearLearner(AUTO)))

    assert fitted.held_out is not None
    assert (len(fitted.held_out.y), fitted.held_out.y.sum()) == (51, 1)


def test_validation_rows_of_the_caller_are_those_that_choose() -> None:
    rows, validation = slope(100), slope(30, seed=1)

    fitted = AutoLearner(AUTO, propose=quick).fit(rows, validation, ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, validation.y)


def weights_of(fitted: Fitted) -> Sequence[bytes]:
    return [value.numpy().tobytes() for value in fitted.module.state_dict().values()]


def test_the_same_seed_gives_the_same_bits() -> None:
    rows = typed(150)

    first, second = (AutoLearner(AUTO, propose=quick).fit(rows, None, ignore) for _ in range(2))

    assert weights_of(first) == weights_of(second)
    assert [member.weight for member in first.members] == [member.weight for member in second.members]
