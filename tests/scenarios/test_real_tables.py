"""Real files go in raw: one PUT, one POST /train, and a row of the file by POST /predict."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelstore.features import MISSING_VALUES
from modelstore.numbers import parse_number
from tests.processes import service
from tests.realtables import FOLDER, TARGETS, raw_row, walk
from training.data.csv_blocks import CsvFile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the real tables beside the repository, in ../shared/tables"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("real")
    environment = {"TABSERVE_RECIPES_DIR": str(folder / "none")}
    with service(folder, environment=environment, ready=False) as (client, _):
        yield client


def as_json(feature: dict[str, Any], cell: str) -> str | float | None:
    """Return a cell as a person writes it in JSON: a number for a numeric column, null for a gap."""
    if cell.strip() in MISSING_VALUES:
        return None
    return parse_number(cell, feature.get("reading", "plain")) if feature.get("type") == "numeric" else cell


@pytest.mark.parametrize("file", TARGETS)
def test_file_goes_in_raw_and_a_raw_row_of_it_is_answered(client: httpx.Client, file: str) -> None:
    done = walk(client, file, epochs=2, patience=0)

    model = done.job["model"]
    with (FOLDER / file).open("rb") as raw:
        reader = CsvFile(raw)
        reader.read_header()
    names, row = raw_row((FOLDER / file).read_bytes(), reader.found.model_dump())
    lines = (FOLDER / file).read_bytes().splitlines(keepends=True)[: 1 if reader.found.header is False else 2]
    by_line = client.post(f"/predict/{model}", content=b"".join(lines), headers={"content-type": "text/csv"})
    features = {feature["name"]: feature for feature in client.get(f"/models/{model}").json()["features"]}
    cells = {name: as_json(features.get(name.strip(), {}), cell) for name, cell in zip(names, row, strict=True)}
    by_name = client.post(f"/predict/{model}", json={"instances": [cells]})

    assert by_line.status_code == 200, f"{file}: CSV row: {by_line.text[:600]}"
    assert by_name.status_code == 200, f"{file}: JSON row: {by_name.text[:600]}"
    (answer,) = by_name.json()["predictions"]
    (header, told) = csv.reader(io.StringIO(by_line.text))
    shown = dict(zip(header, told, strict=False))
    assert str(answer["label"]) == shown["label"] if "label" in answer else float(shown["value"]) == answer["value"]
    kept = set(features)
    left_out = {column["name"] for column in client.get(f"/models/{model}").json()["left_out"]}
    columns = {column["name"] for column in done.dataset["columns"]}
    assert columns - kept - left_out == {TARGETS[file]}, f"{file}: columns that nothing is said about"


def test_a_table_without_a_target_is_inspected(client: httpx.Client) -> None:
    answer = client.put("/datasets/bachelorette", content=(FOLDER / "bachelorette.csv").read_bytes())

    assert answer.status_code == 201, answer.text
    assert Path(FOLDER / "bachelorette.csv").stat().st_size == answer.json()["size_bytes"]
