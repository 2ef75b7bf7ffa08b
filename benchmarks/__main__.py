"""Run the scenarios, print their tables and write results and documentation."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import cores, plots, report
from benchmarks.bench import Bench, Unsupported
from benchmarks.clients import Failed
from benchmarks.machine import describe
from benchmarks.outcomes import FAILED, Outcome, Results
from benchmarks.plan import FULL, PLANS, QUICK
from benchmarks.progress import Progress
from benchmarks.scenarios.catalogue import SCENARIOS
from benchmarks.store import PROJECT, prepare
from benchmarks.systems import DidNotStart

RESULTS = PROJECT / "benchmarks" / "results" / "latest.json"
STORE = PROJECT / "benchmarks" / "store"
DOCUMENT = PROJECT / "docs" / "performance.md"


def main() -> int:
    """Run the benchmark and return the exit code: 1 if a scenario failed."""
    options = _parser().parse_args()
    if options.report:
        results = Results.read(options.results)
    else:
        results = _run(options)
        results.write(options.results)
        _print(f"written: {options.results}")
    _print(report.tables(results), "", report.machine_text(results), "", report.goals_table(results))
    if options.write_docs:
        document = options.document
        drawn = plots.draw(results, document.with_suffix(""))
        document.write_text(report.fill(document.read_text("utf-8"), results, drawn), "utf-8")
        _print(f"written: {', '.join(map(str, [document, *drawn]))}")
    return int(any(FAILED in outcome.skipped for outcome in results.outcomes.values()))


def _run(options: argparse.Namespace) -> Results:
    names: Iterable[str] = options.only or SCENARIOS
    plan = PLANS[options.plan]
    division = cores.divide(cores.available())
    results = Results(machine=describe(division))
    if options.only and options.results.exists():
        results.outcomes = Results.read(options.results).outcomes
    if results.machine.load_average > cores.BUSY_LOAD:
        load = results.machine.load_average
        _print(f"WARNING: load average {load}: something else runs on this machine, and the figures will not be true.")
    if division.shared:
        _print("WARNING: there is one core only, server and client share it; latencies are those of both.")
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tabserve-bench-")))
        progress = stack.enter_context(Progress())
        progress.say(f"preparing the store in {options.store}: trains two versions if they are not there")
        store = prepare(options.store)
        cores.pin(division.client)
        bench = Bench(plan, store, division, work, progress)
        stack.callback(bench.close)
        for name in names:
            progress.say(f"{name} ({plan.name})")
            outcome = _outcome(name, bench)
            outcome.plan, outcome.measured = plan.name, datetime.now(UTC).isoformat(timespec="seconds")
            results.outcomes[name] = outcome
            results.write(options.results)
    results.outcomes = {name: results.outcomes[name] for name in SCENARIOS if name in results.outcomes}
    return results


def _outcome(name: str, bench: Bench) -> Outcome:
    """Run one scenario; one that fails is no reason to lose the others."""
    try:
        return SCENARIOS[name](bench)
    except (Failed, DidNotStart, Unsupported, OSError) as error:
        bench.progress.say(f"{name} FAILED: {error}")
        bench.close()
        return Outcome(scenario=name, title=f"{name}: failed", skipped={FAILED: str(error) or repr(error)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures Tabserve beside a constant ASGI callable and three hand-written services on this host. "
        "Let nothing else run meanwhile. Ratios count; absolute figures are those of this machine and this hour.",
    )
    parser.add_argument(
        "--quick",
        dest="plan",
        action="store_const",
        const=QUICK.name,
        default=FULL.name,
        help="two or three minutes in all, to see that it works; the full form takes about half an hour",
    )
    parser.add_argument("--plan", choices=sorted(PLANS), help=argparse.SUPPRESS)
    parser.add_argument(
        "--only",
        action="append",
        choices=list(SCENARIOS),
        metavar="NAME",
        help=f"measure this scenario only, and keep the others of the last run; repeatable: {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--write-docs", action="store_true", help="put tables and plots into docs/performance.md")
    parser.add_argument("--report", action="store_true", help="measure nothing, show the results of the last run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the results (%(default)s)")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="model store, trained if it is not there (%(default)s)"
    )
    parser.add_argument("--document", type=Path, default=DOCUMENT, help=argparse.SUPPRESS)
    return parser


def _print(*lines: str) -> None:
    print("\n".join(lines), file=sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
