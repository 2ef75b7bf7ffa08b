"""The documentation is complete and correct: settings, routes, metrics, errors, commands."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from app.main import create_app
from app.server.fast_path.protocol import DirectProtocol
from app.settings import Settings
from app.telemetry.metric_families import FAMILIES
from modelstore import ModelRepository, Overrides
from tests.app.problems import every_error
from tests.fakes import publish
from tests.processes import PROJECT, service

README = (PROJECT / "README.md").read_text()
PAGES = {page.name: page.read_text() for page in (PROJECT / "docs").glob("*.md")}
APACHE_2 = "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"  # of the text as apache.org has it
WITH_RECEIPTS = b"x-prediction-receipt: 1\r\n"  # is not for the fast path
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


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", *(f"docs/{name}" for name in PAGES)])
def test_links_to_files_lead_somewhere(page: str) -> None:
    folder = (PROJECT / page).parent
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (PROJECT / page).read_text())

    assert [target for target in targets if "://" not in target and not (folder / target).exists()] == []


def test_licence_of_the_package_is_the_text_that_comes_with_it() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    text = (PROJECT / "LICENSE").read_text().replace("2026 The Tabserve authors", "[yyyy] [name of copyright owner]")
    assert hashlib.sha256(text.encode()).hexdigest() == APACHE_2


def test_no_document_names_a_machine() -> None:
    for name, text in {"README.md": README, **PAGES}.items():
        assert not re.search(r"/(work|root|home|tmp)/", text), name


def run_first_commands(folder: Path) -> dict[str, str]:
    """Run the README's first commands, but the service, in a folder with our data; return what they printed."""
    (folder / "data").symlink_to(PROJECT / "data")
    printed = {}
    for line in re.findall(r"^    tabserve ((?:fit|predict|score) [^>\n]*)", README, re.MULTILINE):
        command = [sys.executable, "-m", "tabserve", *shlex.split(line)]
        environment = {**os.environ, "TABSERVE_MODELS_DIR": str(folder / "models"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        printed[line.split()[0]] = done.stdout
    return printed


def test_files_and_functions_of_the_architecture_page_exist() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:app|training|modelstore)/[\w/.]+)`", text)
    rows = re.findall(r"^\|[^|]*\| `([\w/]+\.py)` \|([^|]*)\|$", text, re.MULTILINE)

    assert len(rows) > 50
    assert [path for path in named if not (PROJECT / path).exists()] == []
    for path, functions in rows:
        source = (PROJECT / path).read_text("utf-8")
        assert [name for name in re.findall(r"`(\w+)`", functions) if f"def {name}(" not in source] == [], path


def functions_of_table(title: str) -> list[tuple[str, str]]:
    """Return the files and functions of the table below a title of the architecture page."""
    section = PAGES["architecture.md"].split(f"### {title}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\|[^|]*\| `([\w/]+\.py)` \|([^|]*)\|$", section, re.MULTILINE)
    return [(path, name) for path, functions in rows for name in re.findall(r"`(\w+)`", functions)]


async def functions_entered(settings: Settings, *requests: bytes) -> list[list[tuple[str, str]]]:
    """Send requests to a service in this thread; return the files and functions that each enters, in this order."""
    config = uvicorn.Config(
        create_app(settings), http=DirectProtocol, ws="none", proxy_headers=False, log_config=None, port=0
    )
    server, frames, found = uvicorn.Server(config), dict[FrameType, None](), []

    def note(frame: FrameType, event: str, _: object) -> None:
        """Note a frame once: a coroutine that goes on is not entered again."""
        if event == "call":
            frames.setdefault(frame)

    with contextlib.closing(config.bind_socket()) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0)
        for sent in requests:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            frames.clear()
            sys.setprofile(note)
            try:
                writer.write(sent)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            finally:
                sys.setprofile(None)
            writer.close()
            await writer.wait_closed()
            codes = [frame.f_code for frame in frames]
            found.append([(code.co_filename.removeprefix(f"{PROJECT}/"), code.co_name) for code in codes])
        server.should_exit = True
        await serving
    return found


@pytest.mark.slow
def test_predictions_enter_the_functions_of_the_architecture_page_in_its_order(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository)
    body = b'{"instances": [[0.25, 0.5]]}'
    head = b"POST /predict/means HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    requests = [b"%b%bcontent-length: %d\r\n\r\n%b" % (head, more, len(body), body) for more in (b"", WITH_RECEIPTS)]

    walks = asyncio.run(functions_entered(settings, *requests))

    for title, entered in zip(("The fast path", "All other requests"), walks, strict=True):
        places, named = iter(entered), functions_of_table(title)
        assert len(named) > 20
        assert [step for step in named if step not in places] == []  # `in` takes all before the step from the iterator


@pytest.mark.slow
def test_commands_and_curl_lines_of_the_readme_work_as_printed(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))  # the store of a reader may hold other models

    printed = run_first_commands(tmp_path)

    assert printed.keys() == {"fit", "predict", "score"}
    assert (tmp_path / "scored.parquet").exists()
    assert "churn version 1 is active" in printed["fit"]
    assert printed["predict"].startswith("label,probability,probability_no,probability_yes\n")
    assert printed["predict"].count("\n") == 2001
    recipes = tmp_path / "recipes"  # of the two demonstrations that the lines name; the others take a minute more
    recipes.mkdir()
    for name in ("iris", "cancer"):
        shutil.copy(PROJECT / "training" / "recipes" / f"{name}.toml", recipes)
    environment = {"TABSERVE_RECIPES_DIR": str(recipes)}
    with service(tmp_path, "--demo", environment=environment) as (client, _):
        ask_as_printed(str(client.base_url).removeprefix("http://").rstrip("/"))


def ask_as_printed(address: str) -> None:
    """Run the README's curl lines against a service."""
    assert len(CURL_LINES) == 10
    for line in CURL_LINES:
        feed, curl = line.split(" | ") if " | " in line else (None, line)
        given = subprocess.run(shlex.split(feed), capture_output=True, check=True, cwd=PROJECT).stdout if feed else None
        command = [*shlex.split(curl.replace("localhost:8000", address)), "--fail-with-body"]
        printed = subprocess.run(command, input=given, capture_output=True, check=True, timeout=300, cwd=PROJECT)
        assert printed.stdout.startswith(b"label,") or json.loads(printed.stdout), line


def test_contributors_are_told_of_every_script() -> None:
    listed = re.findall(r"^    (scripts/[\w-]+)", (PROJECT / "CONTRIBUTING.md").read_text(), re.MULTILINE)

    assert set(listed) == {f"scripts/{path.name}" for path in (PROJECT / "scripts").iterdir()}


def test_ci_runs_the_scripts_of_contributors_which_do_not_ask_for_it() -> None:
    called = re.findall(r"scripts/([\w-]+)", (PROJECT / ".ci" / "run").read_text())

    assert called == ["packages", "install", "test", "test-slow"]
    assert [path.name for path in (PROJECT / "scripts").iterdir() if re.search(r"\$\{?CI\b", path.read_text())] == []


def test_nothing_is_said_to_encrypt_that_does_not() -> None:
    said = re.findall(r"[^.]*`deploy/nginx`[^.]*", (PROJECT / "SECURITY.md").read_text())

    assert said
    if "ssl_certificate" not in (PROJECT / "deploy" / "nginx" / "nginx.conf").read_text():
        assert all("neither does `deploy/nginx`" in sentence for sentence in said)


@pytest.mark.slow
def test_commands_of_the_readme_exist() -> None:
    for line in re.findall(r"^    \.venv/bin/python (-m training \w+)", README, re.MULTILINE):
        subprocess.run([sys.executable, *shlex.split(line), "--help"], capture_output=True, check=True, timeout=300)
    for script in re.findall(r"^    (scripts/[\w-]+)", README, re.MULTILINE):
        assert Path(PROJECT / script).stat().st_mode & 0o111
