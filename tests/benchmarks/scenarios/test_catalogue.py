"""Each kind of scenario runs against real processes; figures are not judged here."""

from __future__ import annotations

import pytest

from benchmarks import store
from benchmarks.bench import Bench
from benchmarks.clients import Reply
from benchmarks.scenarios import learners
from benchmarks.scenarios.catalogue import SCENARIOS
from benchmarks.scenarios.latency import ALONE
from benchmarks.scenarios.swaps import SWAPPING, is_from_one
from benchmarks.scenarios.trust import NAME, SHADOWED
from benchmarks.systems import ASGI, ASGI_ONNX, CONSTANT, FASTAPI, TABSERVE
from modelstore import Background, Conformal, ModelRepository
from tests import fakes
from tests.preloaded import forked_trainings
from tests.processes import PROJECT

TENTHS = tuple(place / 10 for place in range(1, 10))
EXPECTED = {1: {"x": 0.25, "y": 0.75}, 2: {"x": 0.5, "y": 0.5}}
BODY = b'{"version":%d,"predictions":[{"probabilities":{"x":%.3f,"y":%.3f}}]}'


@pytest.fixture
def twice_published(bench: Bench) -> None:
    """Publish what the scenarios about trust would train: two versions with explanations, sets and receipts."""
    repository = ModelRepository(bench.store.folder.parent / "trust")
    background = Background(rows=((0.2, 0.4), (0.6, 0.4)), weights=(0.75, 0.25))
    conformal = Conformal(score="lac", rows=9, source="split", guarantee="marginal", scores=TENTHS)
    for shift in (0.0, 0.1) if NAME not in repository.names() else ():
        fakes.publish(repository, NAME, shift=shift, background=background, conformal=conformal, receipts=True)


@pytest.mark.parametrize(
    ("version", "x", "one"), [(1, 0.25, True), (2, 0.5, True), (1, 0.5, False), (2, 0.375, False), (3, 0.25, False)]
)
def test_an_answer_is_of_one_version_or_mixed(version: int, x: float, one: bool) -> None:
    assert is_from_one(Reply(200, BODY % (version, x, 1 - x)), EXPECTED) is one


@pytest.mark.slow
def test_all_systems_give_the_same_answers_and_are_measured_in_turns(bench: Bench) -> None:
    outcome = SCENARIOS["one_row_1"](bench)
    assert list(outcome.figures) == [CONSTANT, FASTAPI, ASGI, ASGI_ONNX, TABSERVE]
    assert all(len(outcome.values(system, "p50_ms")) == bench.plan.rounds for system in outcome.figures)


@pytest.mark.slow
def test_counting_is_measured_beside_the_clock_that_it_reads(bench: Bench) -> None:
    outcome = SCENARIOS["counting"](bench)
    assert min(outcome.values("counting", "us")) > min(outcome.values("the clock alone", "us")) > 0


@pytest.mark.slow
def test_the_open_loop_at_half_of_capacity_runs(bench: Bench) -> None:
    outcome = SCENARIOS["half_capacity"](bench)
    assert sum(outcome.values(TABSERVE, "failures")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oip_10000", "oip_one_row", "trust", "beside_explained"])
@pytest.mark.usefixtures("twice_published")
def test_scenario_runs(bench: Bench, name: str) -> None:
    outcome = SCENARIOS[name](bench)

    assert outcome.skipped == {}
    assert len(outcome.figures) >= 2


@pytest.mark.slow
def test_a_learner_is_trained_and_asked_alone_and_beside_bulk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PROJECT", forked_trainings())
    monkeypatch.setattr(learners, "LEARNERS", ("trees",))
    monkeypatch.setattr(learners, "TABLE", PROJECT / "data" / "iris.csv")
    monkeypatch.setattr(learners, "TARGET", "species")
    monkeypatch.setattr(learners, "BUDGET_S", 1)

    outcome = SCENARIOS["learners"](bench)

    assert all(len(outcome.values("trees", f"p50_ms@{rows}")) == bench.plan.rounds for rows in learners.SIZES)

    beside = SCENARIOS["beside_learners"](bench)

    assert list(beside.figures) == ["trees, alone", "trees, bulk"]
    assert sum(beside.values("trees, bulk", "failures")) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("twice_published")
def test_a_shadow_computes_rows_in_its_turns_only(bench: Bench) -> None:
    outcome = SCENARIOS["beside_shadow"](bench)

    assert sum(outcome.values(SHADOWED, "compared_rows")) > 0  # a busy machine leaves a short round no turn
    assert max(outcome.values(TABSERVE + ALONE, "compared_rows")) == 0


@pytest.mark.slow
def test_large_body_is_answered_while_it_is_made(bench: Bench) -> None:
    outcome = SCENARIOS["large_csv"](bench)
    (first, *_), (last, *_) = (outcome.values(TABSERVE, metric) for metric in ("first_answer_s", "last_sent_s"))
    assert first > 0
    assert last > 0
    assert len(outcome.values(TABSERVE, "peak_above_idle_mb")) == bench.plan.rounds


@pytest.mark.slow
def test_swaps_under_load_lose_nothing(bench: Bench) -> None:
    outcome = SCENARIOS["swaps"](bench)
    assert sum(outcome.values(SWAPPING, "swaps")) == bench.plan.swaps
    for metric in ("failures", "failed_swaps", "mixed_answers"):
        assert sum(outcome.values(SWAPPING, metric)) == 0
