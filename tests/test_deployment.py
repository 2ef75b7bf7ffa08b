"""The deployment files against the published schema and our own policy, and the image's entry point run by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from app.settings import Settings
from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import PROJECT, service

COMPOSE_SCHEMA = PROJECT.parent / "shared" / "specs" / "compose-spec.json"
AS_IMAGE_USER = ("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all", "--no-new-privs")
DOCKERFILE = (PROJECT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile's last stage sets."""
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    block = re.search(r"^ENV (.*?[^\\])$", last_stage, re.MULTILINE | re.DOTALL)
    assert block is not None
    return dict(pair.split("=", 1) for pair in block[1].replace("\\\n", " ").split())


@pytest.mark.skipif(not COMPOSE_SCHEMA.exists(), reason="the published compose schema is not beside this checkout")
def test_compose_file_follows_the_published_schema(compose: Any) -> None:
    jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA.read_text())).validate(compose)


def test_every_service_is_confined(compose: Any) -> None:
    for name, entry in compose["services"].items():
        assert entry["read_only"] is True, name
        assert entry["cap_drop"] == ["ALL"], name
        assert "cap_add" not in entry, name
        assert "no-new-privileges:true" in entry["security_opt"], name
        assert not {"privileged", "network_mode", "pid"} & entry.keys(), name
        assert entry["pids_limit"] > 0, name
        assert entry["mem_limit"], name
        assert all("docker.sock" not in volume for volume in entry["volumes"]), name


def test_ports_are_published_on_loopback_only(compose: Any) -> None:
    for entry in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in entry["ports"])


def test_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_image_starts_and_checks_the_service_without_a_shell() -> None:
    assert 'ENTRYPOINT ["python", "-m", "app"]' in DOCKERFILE
    assert 'CMD ["python", "-m", "app.healthcheck"]' in DOCKERFILE


def test_every_variable_of_image_and_compose_is_a_setting(compose: Any) -> None:
    known = {f"TABSERVE_{name.upper()}" for name in Settings.model_fields}
    used = {name for name in image_environment() if name.startswith("TABSERVE_")}
    for entry in compose["services"].values():
        used |= entry["environment"].keys()

    assert used <= known


def test_stop_grace_is_longer_than_the_service_takes_to_stop(compose: Any) -> None:
    assert int(compose["services"]["api"]["stop_grace_period"].removesuffix("s")) >= 30


@pytest.mark.skipif(os.geteuid() != 0, reason="changing to the image's user needs root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (Debian package util-linux) is not installed")
def test_entry_point_serves_as_the_images_user_from_a_read_only_store(tmp_path: Path) -> None:
    if subprocess.call([*AS_IMAGE_USER, sys.executable, "-c", "import app.settings"], cwd="/"):
        pytest.skip("the image's user may not read this checkout or its Python")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    publish(ModelRepository(tmp_path / "models"))
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 10001, 10001)  # the models stay root's: the service can read them, not write
    folders = {"TABSERVE_PORT", "TABSERVE_HOST", "TABSERVE_MODELS_DIR", "TABSERVE_DATA_DIR", "TABSERVE_STATE_DIR"}
    environment = {name: value for name, value in image_environment().items() if name not in {*folders, "PATH"}}

    with service(tmp_path, environment=environment, prefix=AS_IMAGE_USER, cwd=Path("/")) as (client, process):
        status = Path(f"/proc/{process.pid}/status").read_text()
        answer = client.post("/predict/means", json={"instances": [[0.25, 0.25]]})
        refused = client.post("/models/means/versions/1/activate")

    assert re.search(r"^Uid:\s+10001\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert answer.json()["predictions"][0]["label"] == "low"
    assert refused.status_code == 503
    assert "cannot be written" in refused.json()["detail"]
