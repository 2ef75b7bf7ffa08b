"""Commands on data files: what `inspect` and `fit` are told about a file, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ColumnSummary, Dialect, Inspection, ModelRepository
from tests.training.cli.consoles import invoke
from training.config.recipe import parse_recipe

ROWS = "".join(f"{row % 4},{row % 9};{'ab'[row % 2]};{row % 3 or 'n.a.'}\n" for row in range(60))
TOLD = Dialect(delimiter=";", decimal=",", encoding="cp1252", header=False, skip_rows=1, skip_footer=1, comment="!")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_bytes(f"M\u00e4rz;-;-\n{ROWS}!no row\nno; row; either\n".encode("cp1252"))
    return path


def columns(*arguments: str | Path) -> dict[str, ColumnSummary]:
    summary = Inspection.model_validate_json(invoke("inspect", *arguments, "--json").stdout).summary
    assert summary is not None
    assert summary.rows == 60
    return {column.name: column for column in summary.columns}


SINGLE = (
    "--delimiter", ";", "--decimal", ",", "--encoding", "cp1252", "--no-header", "--skip-rows", "1",
    "--skip-footer", "1", "--comment", "!",
)  # fmt: skip


@pytest.mark.parametrize("options", [SINGLE, ("--dialect", TOLD.model_dump_json())], ids=["single", "document"])
def test_inspect_reads_a_file_as_it_is_told(file: Path, options: tuple[str, ...]) -> None:
    found = columns(file, *options, "--missing-values", "n.a.", "--type", "c3=categorical")

    assert [(name, column.type) for name, column in found.items()] == [
        ("c1", "numeric"), ("c2", "categorical"), ("c3", "categorical"),
    ]  # fmt: skip
    assert (found["c1"].minimum, found["c1"].maximum) == (0.0, 3.8)
    assert (found["c3"].missing, found["c3"].classes) == (20, {"1": 20, "2": 20})


@pytest.mark.slow
def test_fit_reads_a_file_as_it_is_told_and_the_recipe_says_so(file: Path, tmp_path: Path) -> None:
    told = ("--data", file, "--target", "c2", "--missing-values", "n.a.", "--set", "epochs=1", *SINGLE)

    done = invoke("fit", *told, "--models-dir", tmp_path / "models")

    assert done.exit_code == 0, done.output
    manifest = ModelRepository(tmp_path / "models").find("mine", 1).manifest()
    assert (manifest.feature_names, manifest.classes) == (("c1", "c3"), ("a", "b"))
    assert parse_recipe(dict(manifest.lineage.recipe), "manifest").data.dialect == TOLD


@pytest.mark.parametrize("command", [("inspect",), ("fit", "--target", "c2", "--data")], ids=["inspect", "fit"])
def test_a_type_for_an_unknown_column_is_refused_with_the_nearest_name(file: Path, command: tuple[str, ...]) -> None:
    done = invoke(*command, file, *SINGLE, "--type", "C3=categorical")

    assert done.exit_code == 1
    assert "column 'C3': expected this column, to which" in done.output
    assert "perhaps 'c3' is meant" in done.output


@pytest.mark.parametrize("start", [("inspect", "x.csv"), ("fit", "--data", "x.csv", "--target", "y")])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--delimiter", "x"), "dialect: delimiter: expected"),
        (("--dialect", "[]"), "--dialect: expected a JSON object"),
        (("--type", "x=number"), "options: types.x: expected"),
    ],
)
def test_wrong_options_are_one_line_and_code_2(start: tuple[str, ...], options: tuple[str, ...], said: str) -> None:
    done = invoke(*start, *options)

    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_dialect_beside_a_recipe_is_refused() -> None:
    done = invoke("fit", "iris", "--delimiter", ";")

    assert done.exit_code == 2
    assert "or --data FILE --target COLUMN with its options" in done.stderr
