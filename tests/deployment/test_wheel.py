"""The wheel in an empty environment: the client and the command line, and nothing heavy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import PIP_INSTALL, PROJECT, service

pytestmark = pytest.mark.slow

MOST_PACKAGES = 23
PIP_FOR = (sys.executable, "-m", "pip", "--python")  # it takes seconds to make an environment with a pip of its own


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*command], capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=bare)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of an environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, PROJECT, cwd=folder)
    if built.returncode and "Could not find a version" in built.stderr:
        pytest.skip(f"the build's own packages cannot be fetched here: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    (wheel,) = folder.glob("tabserve-*.whl")
    python = folder / "env" / "bin" / "python"
    constraints = ("--constraint", PROJECT / "constraints.txt")
    done = run(*PIP_FOR, python, *PIP_INSTALL[2:], *constraints, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return python.parent


def test_wheel_is_the_client_and_the_command_line(installed: Path, tmp_path: Path) -> None:
    listed = run(*PIP_FOR, installed / "python", "list", "--format=freeze", cwd=tmp_path).stdout
    heavy = re.findall(r"^(torch|numpy|pandas|fastapi|scikit-learn)==", listed, re.MULTILINE)
    imported = run(installed / "python", "-W", "error", "-c", "import tabserve; tabserve.AsyncClient()", cwd=tmp_path)

    assert heavy == []
    assert len(listed.splitlines()) <= MOST_PACKAGES
    assert imported.returncode == 0, imported.stderr
    assert run(installed / "tabserve", "--version", cwd=tmp_path).stdout == f"tabserve {metadata.version('tabserve')}\n"


def test_wheel_has_the_files_of_the_console(installed: Path) -> None:
    (wheel,) = installed.parent.parent.glob("tabserve-*.whl")
    static = PROJECT / "app" / "api" / "console" / "static"

    assert {f"app/api/console/static/{file.name}" for file in static.iterdir()} <= set(ZipFile(wheel).namelist())


def test_what_needs_more_packages_says_which(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "iris" / "1").mkdir(parents=True)
    (tmp_path / "rows.csv").touch()
    local = run(installed / "tabserve", "predict", "rows.csv", "--model", "models/iris/1", cwd=tmp_path)

    assert "pip install 'tabserve[serve]'" in run(installed / "tabserve", "serve", cwd=tmp_path).stderr
    assert "pip install 'tabserve[serve]'" in local.stderr
    assert "tabserve[train]" in run(installed / "tabserve", "fit", "iris", cwd=tmp_path).stderr


def test_client_alone_predicts_a_file(installed: Path, tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    (tmp_path / "rows.csv").write_text("left,right\n1,0.5\n")
    with service(tmp_path) as (client, _):
        done = run(installed / "tabserve", "predict", "rows.csv", "--url", str(client.base_url), cwd=tmp_path)

    assert done.stdout.splitlines()[1:] == ["high,0.75,0.25,0.75"], done.stderr


def test_licence_and_types_are_in_the_wheel(installed: Path) -> None:
    (packages,) = (installed.parent / "lib").glob("python3*/site-packages")

    assert (packages / "tabserve" / "py.typed").exists()
    assert list(packages.glob("tabserve-*.dist-info/licenses/LICENSE"))
