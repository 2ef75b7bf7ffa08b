"""The plan, the store, running systems and turns of measuring, for every scenario.

It must not know any scenario.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from benchmarks import systems
from benchmarks.clients import Failed, ask
from benchmarks.cores import Cores, pinned
from benchmarks.outcomes import Outcome
from benchmarks.plan import Plan
from benchmarks.progress import Progress
from benchmarks.requests import Request, json_rows
from benchmarks.store import PROJECT, Store
from benchmarks.systems import Server

ANSWERED_ROWS = (1, 100, 10_000)  # what the constant has answers for
SAME = 1e-5
Measure = Callable[[float], Mapping[str, float]]


class Unsupported(Exception):
    """A system cannot do what a scenario asks; the message says why."""


@dataclass
class Bench:
    """One run of the benchmark."""

    plan: Plan
    store: Store
    cores: Cores
    work: Path
    progress: Progress
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _servers: dict[str, Server] = field(default_factory=dict)

    def close(self) -> None:
        """Stop the systems that `server` started."""
        self._stack.close()
        self._servers.clear()

    def server(self, name: str) -> Server:
        """Return a system that runs from the first use to the end of the run, alone on the server's core."""
        if name == systems.CONSTANT and name not in self._servers:
            self._write_constant_answers(self.server(systems.TABSERVE))
        if name == systems.ASGI_ONNX and not self.store.has_onnx:
            raise Unsupported("the version has no model.onnx; train it again with the extra onnx")
        if name not in self._servers:
            self.progress.say(f"starting {name}")
            fresh = systems.running(name, self.store, self.work, self.cores.server)
            self._servers[name] = self._stack.enter_context(fresh)
            if name in {systems.FASTAPI, systems.ASGI, systems.ASGI_ONNX}:
                self._check_answers(name)
        return self._servers[name]

    def fresh(
        self,
        name: str,
        *arguments: str,
        cores: frozenset[int] | None = None,
        ready: Request | None = None,
        store: Store | None = None,
    ) -> systems.Running:
        """Return a context that runs a system of its own; the rest as in `systems.running`."""
        return systems.running(
            name, store or self.store, self.work, cores or self.cores.server, arguments=arguments, ready=ready
        )

    def take_turns(
        self, outcome: Outcome, cases: Mapping[str, Measure], *, rounds: int | None = None, warm_up: bool = True
    ) -> None:
        """Measure all cases in every round, every other round backwards, after a warm-up that is not counted.

        Args:
            outcome: gets the figures; a case that raises `Unsupported` in its warm-up is noted as skipped.
            cases: name -> measures for so many seconds.
            rounds: how many; the plan's if not given.
            warm_up: whether to.
        """
        able = dict(cases)
        for name, measure in cases.items() if warm_up else ():
            self.progress.say(f"{outcome.scenario}: {name}, warm-up")
            try:
                measure(self.plan.warm_up_s)
            except Unsupported as reason:
                outcome.skipped[name] = str(reason)
                del able[name]
        rounds = rounds or self.plan.rounds
        for number in range(rounds):
            for name in reversed(able) if number % 2 else able:
                self.progress.say(f"{outcome.scenario}: {name}, round {number + 1} of {rounds}")
                outcome.add(name, **able[name](self.plan.seconds))

    @contextlib.contextmanager
    def forward_pass(self) -> Iterator[Callable[[int, int, float], float]]:
        """Start the bare forward pass on the server's core; yields a function (rows, chunk, seconds) -> rows/s."""
        environment = {**os.environ, "BENCH_STORE": str(self.store.folder)}
        with pinned(self.cores.server):
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.baselines.forward_pass"],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

        def rows_per_s(rows: int, chunk: int, seconds: float) -> float:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"rows": rows, "chunk": chunk, "seconds": seconds}) + "\n")
            process.stdin.flush()
            return float(json.loads(process.stdout.readline())["rows_per_s"])

        with process:
            yield rows_per_s
            assert process.stdin
            process.stdin.close()

    def _check_answers(self, name: str) -> None:
        """Compare with Tabserve: a system that answers something else is not worth measuring."""
        request = json_rows(self.store.rows(ANSWERED_ROWS[1]))
        own, other = (
            orjson.loads(answer(self.server(each), request))["predictions"] for each in (systems.TABSERVE, name)
        )
        for row, (ours, theirs) in enumerate(zip(own, other, strict=True)):
            pairs = [(value, theirs["probabilities"][label]) for label, value in ours["probabilities"].items()]
            if ours.keys() != theirs.keys() or any(abs(a - b) > SAME for a, b in pairs):
                raise Failed(f"{name} answers row {row} with {theirs}, tabserve with {ours}")

    def _write_constant_answers(self, tabserve: Server) -> None:
        for rows in ANSWERED_ROWS:
            body = answer(tabserve, json_rows(self.store.rows(rows)))
            (self.work / f"{rows}.json").write_bytes(body)


def answer(server: Server, request: Request) -> bytes:
    """Return the body of the answer to one request.

    Raises:
        Unsupported: if the system does not know the format, or refuses a body of this size.
        Failed: if it answers anything else but 200.
    """
    reply = ask(server.address, request)
    if reply.status in {404, 406, 413, 415, 422}:
        kind = f"{request.content_type}, {request.rows} rows, {request.path}"
        raise Unsupported(f"answers {reply.status} to {kind}")
    if reply.status != 200:
        raise Failed(f"{server.name} answers {reply.status}: {reply.body[:300]!r}")
    return reply.body
