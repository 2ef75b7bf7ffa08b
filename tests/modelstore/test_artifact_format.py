"""The documented format: the schema is current and true; the page names every field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelstore import MIN_GOLDEN_ROWS, names, versions
from tests.modelstore.samples import sample_manifest, sample_with

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "artifact-format.md"
SCHEMA = PROJECT / "docs" / "manifest.schema.json"


@pytest.fixture
def schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes()))


@pytest.mark.slow
def test_schema_file_is_what_the_command_prints() -> None:
    """To renew it: python -m modelstore schema > docs/manifest.schema.json."""
    command = [sys.executable, "-m", "modelstore", "schema"]
    printed = subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.PIPE, timeout=300).stdout
    assert json.loads(printed) == json.loads(SCHEMA.read_bytes())


def test_schema_itself_is_valid(schema: jsonschema.Draft202012Validator) -> None:
    schema.check_schema(schema.schema)


def test_schema_accepts_what_the_code_writes(schema: jsonschema.Draft202012Validator) -> None:
    schema.validate(json.loads(sample_manifest().to_json()))
    schema.validate(json.loads(sample_manifest(gate=None, baselines={}).to_json()))
    schema.validate(json.loads(sample_manifest(warnings=("a column is constant",)).to_json()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format_version", 3),
        ("name", "../petals"),
        ("colour", "blue"),
        ("sha256", "7abd"),
        ("size_bytes", "40"),
        ("features.0.type", "complex"),
        ("features.0.quantiles", [1.0] * 8),
        ("features.0.std", -1),
        ("golden.tolerance", -0.5),
        ("metrics.test.per_class.virginica.support", -1),
        ("signature.inputs.0.datatype", "FP64"),
        ("gate.policy", "sometimes"),
        ("lineage", {}),
    ],
)
def test_schema_refuses(schema: jsonschema.Draft202012Validator, path: str, value: object) -> None:
    broken = json.loads(sample_with(path, value))
    assert not schema.is_valid(broken)


def fields(definition: dict[str, Any]) -> Iterator[str]:
    for record in (definition, *definition["$defs"].values()):
        yield from record["properties"]


def in_backticks(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def test_page_explains_every_manifest_field() -> None:
    assert set(fields(json.loads(SCHEMA.read_bytes()))) - in_backticks(PAGE.read_text("utf-8")) == set()


def test_page_names_every_file_and_every_reason_to_refuse() -> None:
    page = PAGE.read_text("utf-8")
    constants = [name for name in vars(names) if re.fullmatch(r"[A-Z_]+_(FILE|PREFIX|FOLDER)", name)]
    assert len(constants) == 13
    for name in constants:
        assert getattr(names, name) in page
    source = Path(versions.__file__).read_text("utf-8")
    reasons = set(re.findall(r'_broken\("(\w+)"', source))
    assert len(reasons) == 8
    assert reasons <= in_backticks(page)


def test_limits_on_the_page_are_those_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert f"at most {versions.MAX_MANIFEST_BYTES >> 20} MiB" in page
    assert f"at least {MIN_GOLDEN_ROWS} rows" in page
