"""Ids and inputs are written in batches; only requests with ids wait for that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from app.errors import StoreUnavailable
from app.feedback import keeping
from app.feedback.keeping import DAY_S, Keeping
from app.inference.additions.keeping import KeptRow
from app.jobs.kept_rows import KeptId, KeptInput
from app.receipts import FIELDS, write_receipts
from app.telemetry.metrics import KEPT_INPUTS, ServingMetrics
from tests.settings import settings_in

SAID = np.zeros(1, FIELDS)
SAID["time"] = 1000
RECEIPT = write_receipts(SAID, lambda _: b"m" * 12)[0]


class Written:
    """Remembers what it wrote; waits for `may` before, and raises `trouble` while it is set."""

    def __init__(self) -> None:
        self.ids: list[list[str]] = []
        self.inputs: list[KeptInput] = []
        self.trouble: Exception | None = None
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, ids: Sequence[KeptId], inputs: Sequence[KeptInput]) -> None:
        await self.may.wait()
        if self.trouble:
            raise self.trouble
        self.ids.append([one.id for one in ids])
        self.inputs += inputs


def row(own: str | None = None, *, with_inputs: bool = False) -> KeptRow:
    return KeptRow("means", 1, RECEIPT, own, {"left": 0.5} if with_inputs else None)


def lost(metrics: ServingMetrics) -> dict[str, float]:
    return {labels[0]: values[0] for labels, values in metrics.snapshot()[KEPT_INPUTS].items()}


def make(written: Written, **settings: object) -> tuple[Keeping, ServingMetrics]:
    metrics = ServingMetrics()
    return Keeping(settings_in(Path("nowhere"), feedback_id_days=2, **settings), written, metrics), metrics


def test_ids_of_requests_that_come_together_are_written_together_and_awaited() -> None:
    async def run() -> Written:
        written = Written()
        keeper, _ = make(written)
        written.may.clear()
        requests = [asyncio.create_task(keeper.keep([row(f"{number}")])) for number in range(4)]
        done, _pending = await asyncio.wait(requests, timeout=0.05)
        assert not done  # none is answered before its id is written
        written.may.set()
        await asyncio.gather(*requests)
        return written

    written = asyncio.run(run())

    assert written.ids == [["0", "1", "2", "3"]]


def test_inputs_are_written_without_a_wait_and_at_the_end_of_the_service() -> None:
    async def run() -> tuple[Written, ServingMetrics]:
        written = Written()
        keeper, metrics = make(written, keep_inputs_days=3)
        written.may.clear()
        await keeper.keep([row(with_inputs=True)])
        assert written.inputs == []
        written.may.set()
        await keeper.close()
        return written, metrics

    written, metrics = asyncio.run(run())

    assert written.inputs == [KeptInput(b"m" * 12, "means", 1, 1000, 1000 + 3 * DAY_S, '{"left":0.5}')]
    assert lost(metrics) == {"kept": 1, "lost": 0}


def test_a_request_with_more_ids_than_may_wait_is_taken_unless_so_many_wait_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "MOST_WAITING", 2)

    async def run() -> Written:
        written = Written()
        keeper, _ = make(written)
        written.may.clear()
        waiting = []
        for ids in ("a", "b", "cdef"):
            waiting.append(asyncio.create_task(keeper.keep([row(own) for own in ids])))
            await asyncio.wait(waiting, timeout=0.01)  # the first is being written, the others wait
        assert not waiting[-1].done()
        with pytest.raises(StoreUnavailable, match="too many ids wait"):
            await keeper.keep([row("g")])
        written.may.set()
        await asyncio.gather(*waiting)
        return written

    assert sorted(own for ids in asyncio.run(run()).ids for own in ids) == [*"abcdef"]


def test_what_cannot_be_written_refuses_ids_and_counts_inputs_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> ServingMetrics:
        written = Written()
        keeper, metrics = make(written)
        written.trouble = StoreUnavailable("no room")
        await keeper.keep([row(with_inputs=True)])
        with pytest.raises(StoreUnavailable, match="ids cannot be kept now, so nothing is predicted: no room"):
            await keeper.keep([row("a")])
        written.trouble = None
        await keeper.keep([row("b")])
        assert written.ids == [["b"]]
        written.may.clear()
        monkeypatch.setattr(keeping, "MOST_WAITING", 2)
        waiting = [asyncio.create_task(keeper.keep([row("c"), row("d")]))]
        await asyncio.wait(waiting, timeout=0.05)  # these are being written
        waiting.append(asyncio.create_task(keeper.keep([row("c"), row("d")])))
        await asyncio.wait(waiting, timeout=0.05)
        with pytest.raises(StoreUnavailable, match="too many ids wait"):
            await keeper.keep([row("e")])
        await keeper.keep([row(with_inputs=True)])
        written.may.set()
        await asyncio.gather(*waiting)
        return metrics

    assert lost(asyncio.run(run())) == {"kept": 0, "lost": 2}


def test_a_write_that_fails_unexpectedly_answers_each_request_that_waits_for_it_and_the_next_one_is_written() -> None:
    async def run() -> Written:
        written = Written()
        keeper, _ = make(written)
        written.trouble = ValueError("a bug")
        async with asyncio.timeout(120):
            failed = await asyncio.gather(keeper.keep([row("a")]), keeper.keep([row("b")]), return_exceptions=True)
        assert [str(error) for error in failed] == ["a bug", "a bug"]
        written.trouble = None
        await keeper.keep([row("c")])
        return written

    assert asyncio.run(run()).ids == [["c"]]


def test_the_sample_is_the_share_of_the_rows_and_columns_are_those_of_the_list() -> None:
    written = asyncio.run(_make_written())
    some, none, named = (
        make(written, **more)[0]
        for more in ({"keep_inputs_share": 0.25}, {}, {"keep_inputs_columns": "left, right and wrong"})
    )

    assert 2300 < len(some.sample(range(10_000))) < 2700  # five standard deviations
    assert none.sample(range(10_000)) == ()
    assert [named.keeps_column(name) for name in ("left", "right and wrong", "right")] == [True, True, False]
    assert none.keeps_column("right")


async def _make_written() -> Written:
    return Written()
