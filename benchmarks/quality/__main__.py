"""Compare our learners with other libraries, and write the tables of docs/quality.md.

Entry point: `python -m benchmarks.quality`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cores, report
from benchmarks.progress import Progress
from benchmarks.quality import document, published, runner, systems, tables
from benchmarks.quality.findings import Cell, Findings
from benchmarks.quality.standings import Standings
from benchmarks.store import PROJECT

DOCUMENT = PROJECT / "docs" / "quality.md"
FINDINGS = PROJECT / "benchmarks" / "results" / "quality.jsonl"
KEPT = PROJECT / "docs" / "quality"  # what the page was written from: a split takes more than an hour
PLACE, PUBLISHED_PLACE = "quality", "published"
STOPPED = 130  # as a shell says it of SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet, show all tables, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        files, findings = (
            tables.names(published.available() if options.published else options.only),
            Findings(options.results, sorted(KEPT.glob("*.jsonl.gz"))),
        )
    except (tables.UnknownTable, ValueError) as error:
        parser.error(str(error))
    reasons = {name: systems.missing(name, options.autogluon) for name in options.systems}
    known = [name for name, reason in reasons.items() if not reason]
    cells = order(files, known, options.seeds, options.budget)
    code = 0 if options.report else _measure(cells, findings, options)
    wanted = set(cells)
    found = [each for each in findings.all() if each.cell in wanted]
    skipped = [f"`{name}` is not measured: {reason}." for name, reason in reasons.items() if reason]
    skipped += [f"`{f.cell.system}` on {f.cell.file}, split {f.cell.seed}: {f.problem}." for f in found if f.problem]
    standings = Standings(found, known)
    text = published.write(standings) if options.published else document.write(standings, skipped)
    place = PUBLISHED_PLACE if options.published else PLACE
    sys.stdout.write(f"{text}\n")
    if options.write_docs:
        DOCUMENT.write_text(report.fill_place(DOCUMENT.read_text("utf-8"), place, text), "utf-8")
    return code


def order(files: Sequence[str], names: Sequence[str], seeds: int, budget_s: float | None) -> list[Cell]:
    """Return all cells: split by split, so that an early stop leaves whole tables; files and systems in their order."""
    return [
        Cell(file=file, system=name, seed=seed, budget_s=budget_s)
        for seed in range(seeds)
        for file in files
        for name in names
    ]


def _measure(cells: Sequence[Cell], findings: Findings, options: argparse.Namespace) -> int:
    threads = max(1, len(cores.available()) // options.jobs)
    processes = runner.Processes(threads, options.autogluon or "")
    with Progress() as progress:
        try:
            runner.run(cells, processes, findings, jobs=options.jobs, say=progress.say)
        except KeyboardInterrupt:
            progress.say("stopped; the same command goes on from here")
            return STOPPED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench-quality",
        description="Compares our learners with other libraries on many tables. What is measured is kept in a file, "
        "and not measured again. Ctrl-C stops; the same command goes on.",
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="FILE", help="tables; by default all, small ones first"
    )
    parser.add_argument(
        "--published", action="store_true", help=f"tables with published figures instead, from {published.FOLDER}"
    )
    parser.add_argument("--systems", nargs="+", default=systems.NAMES, choices=systems.NAMES, metavar="SYSTEM",
                        help=f"by default all of {', '.join(systems.NAMES)}")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="number of splits; the first is that of the service")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds for systems that take a budget")
    parser.add_argument("--jobs", type=int, default=len(cores.available()), help="cells at a time; default: the cores")
    parser.add_argument("--results", type=Path, default=FINDINGS, metavar="FILE", help="JSON lines that are kept")
    parser.add_argument("--autogluon", metavar="PYTHON", help="the Python of an environment that has AutoGluon")
    parser.add_argument("--report", action="store_true", help="measure nothing, show what is kept")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/quality.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
