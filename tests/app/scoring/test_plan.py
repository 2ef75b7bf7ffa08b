"""Plans differ where the bytes of the output would."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.inference.codecs.formats import BulkOptions
from app.scoring.plan import ENGINE, difference, plan_of
from app.scoring.sources import find_sources
from modelstore import ModelRepository
from tests.app.scoring.samples import write_rows
from tests.fakes import publish


def test_a_plan_names_what_it_differs_in(repository: ModelRepository, tmp_path: Path) -> None:
    for shift in (0.0, 0.25):
        publish(repository, shift=shift)
    rows, out = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    one, other = (repository.find("means", version) for version in (1, 2))
    sources = find_sources([str(rows)], out)
    plan = plan_of(one, sources, BulkOptions(), out, 100)

    assert difference(plan | {ENGINE: "cpu"}, plan_of(one, sources, BulkOptions(), out, 100)) is None
    assert difference(plan, plan_of(other, sources, BulkOptions(), out, 100)) == "version"
    assert difference(plan, plan_of(one, sources, BulkOptions(skip=True), out, 100)) == "options"
    assert difference(plan, plan_of(one, sources, BulkOptions(), tmp_path / "out.parquet", 100)) == "format"
    assert difference(plan, plan_of(one, sources, BulkOptions(), out, 200)) == "part size"
    rows.write_bytes(rows.read_bytes().replace(b"0.5", b"0.6"))
    assert difference(plan, plan_of(one, sources, BulkOptions(), out, 100)) == "files"


def test_a_plan_has_the_releases_of_both_libraries_that_may_compute(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    found, sources = repository.find("means", 1), find_sources([str(write_rows(tmp_path / "rows.csv"))], tmp_path / "o")
    plan = plan_of(found, sources, BulkOptions(), tmp_path / "out.csv", 100)

    assert plan["libraries"].keys() >= {"torch", "onnxruntime"}
    monkeypatch.setattr("app.scoring.plan.LIBRARIES", ("torch", "no-such-library"))
    libraries = plan_of(found, sources, BulkOptions(), tmp_path / "out.csv", 100)["libraries"]
    assert libraries == {"torch": plan["libraries"]["torch"], "no-such-library": None}
