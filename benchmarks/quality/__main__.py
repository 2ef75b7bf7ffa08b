"""Compare our learners with other libraries, and write the tables of docs/quality.md.

Entry point: `python -m benchmarks.quality`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from benchmarks import cores, report
from benchmarks.progress import Progress
from benchmarks.quality import document, published, runner, systems, tables
from benchmarks.quality.findings import Cell, Finding, Findings
from benchmarks.quality.standings import Standings
from benchmarks.store import PROJECT

DOCUMENT = PROJECT / "docs" / "quality.md"
RESULTS = PROJECT / "benchmarks" / "results"
KEPT = PROJECT / "docs" / "quality"  # what the page was written from: a split takes more than an hour
PLACE, PUBLISHED_PLACE = "quality", "published"  # in the document; names of the files of findings, too
STOPPED = 130  # as a shell says it of SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet, show all that is kept, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    place, kept = (PUBLISHED_PLACE, KEPT / PUBLISHED_PLACE) if options.published else (PLACE, KEPT)
    try:
        findings = Findings(options.results or RESULTS / f"{place}.jsonl", sorted(kept.glob("*.jsonl.gz")))
        cells = [] if options.report else _cells(options)
    except (tables.UnknownTable, ValueError) as error:
        parser.error(str(error))
    code = _measure(cells, findings, options) if cells else 0
    if options.published:
        text = published.write(Standings(_shown(findings, options, published.GOALS), tuple(systems.FITS)))
    else:
        found = _shown(findings, options, options.only or tables.USUAL)
        standings = Standings(found, options.systems)
        text = document.write(standings, _problems(found, standings, options))
    sys.stdout.write(f"{text}\n")
    if options.write_docs:
        DOCUMENT.write_text(report.fill_place(DOCUMENT.read_text("utf-8"), place, text), "utf-8")
    return code


def order(names: Mapping[str, Sequence[str]], seeds: int, budget_s: float | None) -> list[Cell]:
    """Return all cells: split by split, so that an early stop leaves whole tables; files and systems in their order.

    Args:
        names: systems of each file.
        seeds: number of splits.
        budget_s: seconds for systems that take a budget; None lets the number of rows decide.
    """
    return [
        Cell(file=file, system=name, seed=seed, budget_s=budget_s)
        for seed in range(seeds)
        for file, systems_of_file in names.items()
        for name in systems_of_file
    ]


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Return what there is to measure.

    Raises:
        UnknownTable: if a table is wanted that is not there.
    """
    names: Mapping[str, Sequence[str]]
    if options.published:
        here = published.available()
        names = {file: published.systems_of(file) for file in (tables.names(here) if here else ())}
    else:
        known = [name for name in options.systems if not systems.missing(name, options.autogluon)]
        names = dict.fromkeys(tables.names(options.only), known)
    return order(names, options.seeds or 1, options.budget)


def _shown(findings: Findings, options: argparse.Namespace, files: Container[str]) -> list[Finding]:
    """Return what is kept of some tables, the small ones first."""
    found = [
        each
        for each in findings.all()
        if each.cell.file in files
        and each.cell.budget_s == options.budget
        and each.cell.seed < (options.seeds or math.inf)
    ]
    rows = {each.cell.file: each.rows for each in found if not each.problem}
    return sorted(found, key=lambda each: (rows.get(each.cell.file, 0), each.cell.file))


def _problems(found: Sequence[Finding], standings: Standings, options: argparse.Namespace) -> list[str]:
    """Return a sentence about each system without any figure, and each cell that failed."""
    reasons = {
        name: systems.missing(name, options.autogluon) or "no figure of it is kept"
        for name in options.systems
        if name not in standings.systems
    }
    failed = [each for each in found if each.problem and each.cell.system in options.systems]
    said = [f"`{name}` is not measured: {reason}." for name, reason in reasons.items()]
    return said + [f"`{f.cell.system}` on {f.cell.file}, split {f.cell.seed}: {f.problem}." for f in failed]


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
                        help=f"without --published; by default all of {', '.join(systems.NAMES)}")  # fmt: skip
    parser.add_argument(
        "--seeds",
        type=int,
        help="number of splits; split 0 is the service's; by default 1 is measured, all that are kept are shown",
    )
    parser.add_argument("--budget", type=float, metavar="S", help="seconds for systems that take a budget")
    parser.add_argument("--jobs", type=int, default=len(cores.available()), help="cells at a time; default: the cores")
    parser.add_argument("--results", type=Path, metavar="FILE", help="JSON lines that are kept; default: a file of "
                        "benchmarks/results")  # fmt: skip
    parser.add_argument("--autogluon", metavar="PYTHON", help="the Python of an environment that has AutoGluon")
    parser.add_argument("--report", action="store_true", help="measure nothing, show what is kept")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/quality.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
