"""Figures that tests measured of the promises: kept, printed, and written into the docs.

`python -m tests.promises MEASURED.json` fills the table's last column from a file that `--measured-file` wrote; without
a file it writes into docs/promises.md which tests measure which promise. Nothing here knows what is measured: a promise
is an id of the fault list (F-13, S-08, D-11), a figure is a text. With several processes (`-n`) nothing is printed.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

Measured = Callable[[str, str], None]
Texts = dict[str, dict[str, str]]  # id -> test -> what it measured

LONG = os.environ.get("TABSERVE_FAULTS") == "long"
PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "operations.md"
PROOFS = PROJECT / "docs" / "promises.md"
ID = re.compile(r"[A-Z]-\d\d")
IDS = rf"{ID.pattern}(?:, {ID.pattern})*"
ROW = re.compile(rf"^\| (?P<promise>[^|]+) \| (?P<ids>{IDS}) \| (?P<figure>[^|]*) \|$", re.MULTILINE)
ID_HEAD = "| promise | test |\n|---|---|\n"
ID_ROW = re.compile(rf"^\| {ID.pattern} \|.*\n", re.MULTILINE)
MACHINE = re.compile(r"^Measured on .*$", re.MULTILINE)


def allowed(promised: float) -> float:
    """Return what a figure may reach before its test fails: in the long form what is promised.

    Else ten times as much, for the machines of others do other things besides: there it tells a wait that is wrong
    from one that is right, and the figure that is printed tells the rest.
    """
    return promised if LONG else 10 * promised


class Promises:
    """The plugin of a test session: what its passing tests measured."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._texts: Texts = {}

    def measured(self, promise: str, text: str) -> None:
        """Note for the running test what it measured of a promise."""
        assert ID.fullmatch(promise), promise
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        self._texts.setdefault(promise, {})[test] = text

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Forget what a test measured that failed."""
        if report.failed:
            for texts in self._texts.values():
                texts.pop(report.nodeid, None)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, and write the file."""
        if self._file:
            write(self._file, self._texts)
        if lines := table(self._texts):
            terminalreporter.section("measured")
            for line in lines:
                terminalreporter.write_line(line)


def table(texts: Texts) -> list[str]:
    """Return a line for each promise that was measured."""
    return [f"{promise}  {text}" for promise in sorted(texts) if (text := figure((promise,), texts))]


def figure(ids: tuple[str, ...], texts: Texts) -> str:
    """Return what all tests measured of some ids, each text once."""
    found = [text for promise in ids for _, text in sorted(texts.get(promise, {}).items())]
    return "; ".join(dict.fromkeys(found))


def write(file: Path, texts: Texts) -> None:
    """Add what was measured to a file; of the same tests the new figures count."""
    before: Texts = json.loads(file.read_text()) if file.exists() else {}
    for promise, new in texts.items():
        before[promise] = before.get(promise, {}) | new
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(before, indent=1, sort_keys=True) + "\n")


@functools.cache
def parse(file: Path) -> ast.Module:
    """Return what a file of tests consists of."""
    return ast.parse(file.read_text())


def measured_by(node: ast.AST) -> Iterator[str]:
    """Yield the ids that a test, or a file of tests, measures."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "measured":
            assert isinstance(call.args[0], ast.Constant), f"line {call.lineno}: the id is written out"
            yield str(call.args[0].value)


def find_tests(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the tests of a file, as `path::name`."""
    functions = [n for n in parse(file).body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    path = file.relative_to(PROJECT)
    return {f"{path}::{function.name}": function for function in functions if function.name.startswith("test_")}


def proofs() -> str:
    """Return the rows of docs/promises.md for the promises that have an id."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted((PROJECT / "tests").rglob("test_*.py")):
        for name, function in find_tests(file).items() if "measured(" in file.read_text() else ():
            for promise in sorted(set(measured_by(function))):
                found[promise].append(f"`{name}`")
    return "".join(f"| {promise} | {', '.join(tests)} |\n" for promise, tests in sorted(found.items()))


def fill(page: str, texts: Texts, machine: str) -> str:
    """Return the page with the figures of all promises that were measured, and of what machine they are."""

    def filled(row: re.Match[str]) -> str:
        ids = tuple(row["ids"].split(", "))
        return f"| {row['promise']} | {row['ids']} | {figure(ids, texts).replace('|', '/') or row['figure']} |"

    return MACHINE.sub(f"Measured on {machine}.", ROW.sub(filled, page))


def machine(now: datetime, environment: Mapping[str, str]) -> str:
    """Say when and on what the figures were measured."""
    form = "the long form" if environment.get("TABSERVE_FAULTS") == "long" else "the form that CI runs"
    return f"{now:%Y-%m-%d} with {len(os.sched_getaffinity(0))} processor cores, {form}"


if __name__ == "__main__" and len(sys.argv) == 1:
    PROOFS.write_text(ID_ROW.sub("", PROOFS.read_text()).replace(ID_HEAD, ID_HEAD + proofs(), 1))
elif __name__ == "__main__":
    measured: Texts = json.loads(Path(sys.argv[1]).read_text())
    PAGE.write_text(fill(PAGE.read_text(), measured, machine(datetime.now(UTC), os.environ)))
