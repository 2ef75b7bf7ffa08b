"""docs/scaling.md is computed from the committed figures and from this code."""

from __future__ import annotations

import math
import re

from starlette.testclient import TestClient

from app.jobs.database import _POOL
from app.jobs.threads import OWNER_THREADS, REQUEST_THREADS
from app.main import create_app
from app.settings import Settings
from app.telemetry.counts_by_version import MAX_VERSIONS
from app.telemetry.drift import MAX_FEATURES
from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import PROJECT

PLAN = (PROJECT / "docs" / "scaling.md").read_text()
MEASURED = (PROJECT / "docs" / "performance.md").read_text()
PLACES = {  # a line of the plan: title and first cell of the measured row, and which of its cells
    "1 row, JSON, 64 connections": ("One row, 64 connections", "tabserve", 2),
    "100 rows, JSON, 8 connections": ("100 rows, 8 connections", "tabserve", 2),
    "10,000 rows, JSON objects": ("10,000 rows, 2 connections", "tabserve", 2),
    "10,000 rows, JSON columns": ("10,000 rows, 2 connections", "tabserve, columns", 2),
    "5,000,000 rows of CSV in one request": (
        "5,000,000 rows of CSV in one request, made while the answer is read",
        "tabserve",
        1,
    ),
    "10,000 rows, Arrow": ("10,000 rows, binary, 2 connections", "tabserve, Arrow", 2),
    "10,000 rows, float32": ("10,000 rows, binary, 2 connections", "tabserve, float32", 2),
    "10,000 rows, Open Inference Protocol, binary": (
        "10,000 rows, Open Inference Protocol, binary, 2 connections",
        "tabserve, OIP probabilities",
        2,
    ),
}


def cells(text: str, first: str) -> list[str]:
    """Return the cells of the row of a Markdown table that begins with a cell."""
    (line,) = re.findall(rf"^\| {re.escape(first)} \|.*$", text, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


def number(cell: str) -> float:
    """Return a number of a table such as `1.09 M (938,000 to 1.28 M)`, without its range."""
    figure, million = re.match(r"([\d.,]+)( M)?", cell).groups()  # type: ignore[union-attr]
    return float(figure.replace(",", "")) * (1e6 if million else 1)


def figure_of(title: str, row: str, column: int) -> float:
    section = MEASURED.partition(f"\n### {title}\n")[2].partition("\n###")[0]
    return number(cells(section, row)[column])


def test_capacities_are_those_of_the_measurements() -> None:
    section = PLAN.partition("## Capacity")[2].partition("## Replicas")[0]
    learners = MEASURED.partition("A version of each learner on")[2].partition("\n## ")[0]
    names = cells(learners, "rows")[1:]
    one, many = ([float(cell) for cell in cells(learners, rows)[1:]] for rows in ("1", "10,000"))

    assert {line: number(cells(section, line)[1]) for line in PLACES} == {
        line: figure_of(*place) for line, place in PLACES.items()
    }
    for name, one_ms, many_ms in zip(names, one, many, strict=True):
        assert [number(cell) for cell in cells(section, name)[1:]] == [round(1e3 / one_ms), round(1e7 / many_ms)]


def test_example_is_what_its_formula_gives() -> None:
    ((load, capacity, needed, up, all_),) = re.findall(
        r"([\d,]+) / \(0\.5 \* ([\d,]+)\) = ([\d.]+), so (\d+) \+ 1 = (\d+) replicas", PLAN
    )
    ((together, left),) = re.findall(r"at (\d+) % of their capacity, and at (\d+) % when one is lost", PLAN)
    share = number(load) / number(capacity)

    assert capacity == cells(PLAN, "auto")[1]
    assert (round(2 * share, 2), math.ceil(2 * share)) == (float(needed), int(up))
    assert int(all_) == int(up) + 1
    assert (round(100 * share / int(all_)), round(100 * share / int(up))) == (int(together), int(left))


def test_series_of_a_replica_are_as_many_as_planned(settings: Settings, repository: ModelRepository) -> None:
    found = re.search(
        r"(\d+) series, (\d+) for each route .* each model (\d+) \+ \((\d+) \+ classes\) for each of its versions", PLAN
    )
    assert found
    base, of_route, of_model, of_version = map(int, found.groups())
    publish(repository, "two", classes=("a", "b"))
    publish(repository, "two", classes=("a", "b"))
    publish(repository, "three", classes=("a", "b", "c"))
    with TestClient(create_app(settings)) as client:

        def count() -> int:
            return len(re.findall(r"^[a-z]", client.get("/metrics").text, re.MULTILINE))

        for path in ("/predict/two", "/predict/three", "/predict/two/versions/1"):
            assert client.post(path, json={"instances": [[0.5, 0.5]]}).status_code == 200
        count()  # the next scrape has this one's route
        series = count()

    routes = 3  # /predict/{model}, /predict/{model}/versions/{version}, /metrics
    assert series == base + of_route * routes + 2 * of_model + 2 * (of_version + 2) + (of_version + 3)
    assert f"at most {MAX_VERSIONS} are counted separately) + 1 for each of up to {MAX_FEATURES} features" in PLAN


def test_connections_to_the_database_are_as_many_as_planned() -> None:
    threads = REQUEST_THREADS + OWNER_THREADS

    assert f"at most {threads} ({REQUEST_THREADS} threads for requests, {OWNER_THREADS} for trainings)" in PLAN
    assert f"up to {_POOL['pool_size']} connections" in PLAN
    assert threads <= _POOL["pool_size"] + _POOL["max_overflow"]
    assert f"97 / {threads} = {97 // threads} processes at worst, and 97 / 4 = {97 // 4} at rest" in PLAN
