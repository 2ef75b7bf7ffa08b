"""What is said about a process that gets no processor, with given and with real times."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from app.jobs.process.processor import ProcessorWatch, Usage, read_usage


@dataclass
class Scene:
    """A watched process whose processor time the test sets; the clock begins at 100 s."""

    used_s: float = 0.0
    state: str = "R"
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = 100.0
        self.watch = ProcessorWatch(lambda: Usage(self.used_s, self.state), self.now)

    def starves(self) -> bool:
        return self.watch.starving

    def run(self, seconds: int, share: float) -> list[str]:
        """Let seconds pass in which the process gets a share of a processor; return what was said."""
        said = []
        for _ in range(seconds):
            self.now, self.used_s = self.now + 1, self.used_s + share
            said.append(self.watch.look(self.now))
        return [sentence for sentence in said if sentence]


def test_process_that_computes_or_shares_a_processor_is_not_mentioned() -> None:
    assert Scene().run(60, 1.0) == []
    assert Scene().run(60, 0.05) == []


def test_starving_is_said_once_with_its_cause_and_so_is_its_end_with_how_long_it_took() -> None:
    scene = Scene()
    scene.run(5, 1.0)

    assert scene.run(40, 0.001) == [
        "the training has had 0.01 s of processor time in the last 10 s: other processes need all processors"
    ]
    assert scene.starves()
    assert scene.run(5, 1.0) == ["the training runs again, after 41 s almost without a processor"]
    assert not scene.starves()
    assert len(scene.run(10, 0.0)) == 1


def test_process_that_never_began_starves_as_well() -> None:
    scene = Scene(state="D")
    assert scene.run(9, 0.0) == []
    assert scene.run(1, 0.0) == ["the training has had 0.00 s of processor time in the last 10 s: it waits for a disk"]


def test_process_that_has_ended_is_not_mentioned() -> None:
    watch = ProcessorWatch(lambda: None, 0.0)
    assert [watch.look(float(now)) for now in range(30)] == [None] * 30


def test_usage_of_a_real_process_is_that_of_the_system() -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    assert usage.state == "R"
    assert abs(usage.used_s - time.process_time()) < 0.5  # the system counts in hundredths


def test_process_that_does_not_exist_has_no_usage() -> None:
    assert read_usage(1 << 30) is None
