from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import torch

from benchmarks import cores, machine, training
from benchmarks.outcomes import Results
from benchmarks.report import NoMarker
from benchmarks.training import FORWARD, OURS, THEIRS, NotTheSame, beside_tutorial, fill, large, machine_text


def quietly(text: str) -> None:
    """Take the place of progress."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "cancer", "blobs"])
def test_ours_ends_at_the_tutorials_loss(name: str) -> None:
    outcome = beside_tutorial(name, 1, quietly)

    ours, theirs = (outcome.values(system, "final_loss_nats")[0] for system in (OURS, THEIRS))
    assert ours == pytest.approx(theirs, abs=training.SAME_LOSS[name])
    assert outcome.ratio(OURS, THEIRS, "epochs_per_s") is not None


@pytest.mark.slow
def test_a_training_that_ends_elsewhere_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training.SAME_LOSS, "iris", -1.0)

    with pytest.raises(NotTheSame, match="iris: the losses at the end are "):
        beside_tutorial("iris", 1, quietly)


def test_many_rows_are_timed_beside_a_forward_pass() -> None:
    outcome = large(5000, 1, quietly)

    speeds = {system: outcome.values(system, "rows_per_s") for system in outcome.figures}
    assert set(speeds) == {
        FORWARD, "tabserve, batches of 256", "tabserve, batches of 4,096", "tabserve, full batch",
    }  # fmt: skip
    assert all(len(values) == 1 and values[0] > 0 for values in speeds.values())


def test_the_tables_go_between_the_markers() -> None:
    document = "before <!-- bench:training --> old <!-- /bench:training --> after"

    assert fill(document, "new") == "before <!-- bench:training -->\n\nnew\n\n<!-- /bench:training --> after"
    with pytest.raises(NoMarker):
        fill("nothing", "new")


def test_the_machine_is_named_with_the_time() -> None:
    results = Results(machine=machine.describe(cores.divide(cores.available())))
    outcome = large(5000, 1, quietly)
    outcome.plan, outcome.measured = "quick", datetime(2026, 11, 21, 10, 30, tzinfo=UTC).isoformat()
    results.outcomes["training_large"] = outcome

    assert "one thread" in machine_text(results)
    assert "plan: quick; 2026-11-21T10:30 UTC." in machine_text(results)
