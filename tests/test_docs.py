"""The documentation is complete and correct: settings, routes, metrics, errors, and all commands of the README."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.telemetry.metric_families import FAMILIES
from modelstore import Overrides
from tests.app.problems import every_error
from tests.processes import PROJECT, service

README = (PROJECT / "README.md").read_text()
PAGES = {page.name: page.read_text() for page in (PROJECT / "docs").glob("*.md")}
CURL_LINES = re.findall(r"^    ((?:head [^|]*\| )?curl .*)$", README, re.MULTILINE)


def test_every_setting_is_described() -> None:
    for name in Settings.model_fields:
        assert f"`TABSERVE_{name.upper()}`" in PAGES["operations.md"]
        assert f"`--{name.replace('_', '-')}`" in PAGES["operations.md"]


def test_every_metric_is_described() -> None:
    for name in FAMILIES:
        assert f"`{name}" in PAGES["operations.md"]


def test_every_route_is_described(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]

    text = PAGES["api.md"]
    assert len(paths) > 10
    for path in paths:
        assert f"{path}`" in text, path


def test_every_status_of_an_error_is_described() -> None:
    for error in every_error():
        assert f"| {error.status.value} |" in PAGES["api.md"]


def test_every_override_is_described() -> None:
    for name in Overrides.model_fields:
        assert re.search(rf"\b{name}\b", PAGES["api.md"])
        assert f"`{name}`" in PAGES["training.md"]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}" for name in PAGES)])
def test_links_to_files_lead_somewhere(page: str) -> None:
    folder = (PROJECT / page).parent
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (PROJECT / page).read_text())

    assert [target for target in targets if "://" not in target and not (folder / target).exists()] == []


def test_no_document_names_a_machine() -> None:
    for name, text in {"README.md": README, **PAGES}.items():
        assert not re.search(r"/(work|root|home|tmp)/", text), name


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("readme")
    with service(folder, "--train-missing") as (client, _):
        yield client


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_curl_lines_of_the_readme_work_as_printed(served: httpx.Client) -> None:
    assert len(CURL_LINES) == 9
    address = str(served.base_url).removeprefix("http://").rstrip("/")
    for line in CURL_LINES:
        feed, curl = line.split(" | ") if " | " in line else (None, line)
        given = subprocess.run(shlex.split(feed), capture_output=True, check=True, cwd=PROJECT).stdout if feed else None
        command = [*shlex.split(curl.replace("localhost:8000", address)), "--fail-with-body"]
        printed = subprocess.run(command, input=given, capture_output=True, check=True, timeout=90, cwd=PROJECT)
        assert printed.stdout.startswith(b"label,") or json.loads(printed.stdout), line


@pytest.mark.slow
def test_commands_of_the_readme_exist() -> None:
    for line in re.findall(r"^    \.venv/bin/python (-m training \w+)", README, re.MULTILINE):
        subprocess.run([sys.executable, *shlex.split(line), "--help"], capture_output=True, check=True, timeout=60)
    for script in re.findall(r"^    (scripts/\w+)", README, re.MULTILINE):
        assert Path(PROJECT / script).stat().st_mode & 0o111
