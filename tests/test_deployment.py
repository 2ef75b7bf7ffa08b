"""The deployment files against the published schema and our own policy: who may do what, D-03 to D-10."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from app.server import SHUTDOWN_GRACE_S
from app.settings import Settings
from tests.processes import PROJECT

COMPOSE_SCHEMA = PROJECT.parent / "shared" / "specs" / "compose-spec.json"
COMPOSE: Any = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {"api", "trainer", "bare"}
ONCE = {"secrets"}  # ends when it is done
LASTING = sorted(SERVICES.keys() - ONCE)
DOORS = {"nginx", "operator", "bare"}  # may publish a port

every_service = pytest.mark.parametrize("entry", SERVICES.values(), ids=SERVICES)
every_lasting_service = pytest.mark.parametrize("entry", [SERVICES[name] for name in LASTING], ids=LASTING)


def mounts(entry: Any) -> dict[str, tuple[str, bool]]:
    """Return what a service mounts: path in the container to source, and whether it may write."""
    parts = [volume.split(":") for volume in entry.get("volumes", ())]
    return {path: (source, "ro" not in mode) for source, path, *mode in parts}


def gigabytes(limit: str) -> float:
    return float(limit[:-1]) / {"m": 1024, "g": 1}[limit[-1]]


@pytest.mark.skipif(not COMPOSE_SCHEMA.exists(), reason="the published compose schema is not beside this checkout")
def test_compose_file_follows_the_published_schema() -> None:
    jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA.read_text())).validate(COMPOSE)


# D-03 to D-06: what each service may


@every_service
def test_service_is_confined(entry: Any) -> None:
    assert entry["read_only"] is True
    assert "/tmp:size=64m,mode=1777,noexec,nosuid,nodev" in entry["tmpfs"]  # noqa: S108 - in the container
    assert all(option in mount for mount in entry["tmpfs"] for option in ("noexec", "nosuid", "nodev"))
    assert entry["cap_drop"] == ["ALL"]
    assert entry["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "ipc", "userns_mode", "devices"} & entry.keys()
    assert entry.get("network_mode") in {None, "none"}
    assert all("docker.sock" not in volume for volume in entry["volumes"])


@every_service
def test_service_has_limits(entry: Any) -> None:
    assert 0 < gigabytes(entry["mem_limit"]) <= 6
    assert 0 < entry["cpus"] <= 2
    assert 0 < entry["pids_limit"] <= 256
    assert entry["ulimits"]["nofile"] >= 1024
    assert entry["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", ["trainer", "bare"])
def test_a_training_fits_into_its_container_beside_the_service(name: str) -> None:
    training_gb = SERVICES[name]["environment"]["TABSERVE_TRAIN_MEMORY_BYTES"] / (1 << 30)

    assert training_gb + 1 <= gigabytes(SERVICES[name]["mem_limit"])


@every_lasting_service
def test_service_is_watched_and_started_again(entry: Any) -> None:
    check = entry["healthcheck"]

    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} < check.keys()
    assert entry["restart"] == "unless-stopped"
    assert entry["init"] is True


@every_lasting_service
def test_stop_grace_is_longer_than_the_service_takes_to_stop(entry: Any) -> None:
    drain_s = float(getattr(Settings(), "drain_delay_s", 0))

    assert int(entry["stop_grace_period"].removesuffix("s")) >= SHUTDOWN_GRACE_S + drain_s + 5


# D-07: secrets


@every_service
def test_no_secret_stands_in_a_variable(entry: Any) -> None:
    for name, value in entry.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL", name):
            assert name.endswith("_FILE")
            assert str(value).startswith("/run/secrets/")
    assert "env_file" not in entry


def test_secrets_are_made_once_and_only_their_group_may_read_them(tmp_path: Path) -> None:
    folders = [tmp_path / "database", tmp_path / "grafana"]
    for folder in folders:
        folder.mkdir()
    make = [PROJECT / "deploy" / "make-secrets", *folders]
    subprocess.run(make, check=True)
    made = {path.name: path.read_text() for folder in folders for path in folder.iterdir()}
    subprocess.run(make, check=True)

    assert made == {path.name: path.read_text() for folder in folders for path in folder.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for folder in folders for path in folder.iterdir()} == {0o440}
    assert made.keys() == {"postgres_password", "tabserve_database_url", "grafana_password"}
    assert f":{made['postgres_password']}@postgres:" in made["tabserve_database_url"]
    assert made["postgres_password"] != made["grafana_password"]
    assert all(len(made[name]) >= 40 for name in ("postgres_password", "grafana_password"))


def test_every_service_sees_its_own_secrets_only() -> None:
    seen = {name: mounts(entry).get("/run/secrets") for name, entry in SERVICES.items()}

    assert {name: mount for name, mount in seen.items() if mount} == {
        "api": ("database-secrets", False),
        "trainer": ("database-secrets", False),
        "postgres": ("database-secrets", False),
        "grafana": ("grafana-secrets", False),
    }


# D-08 to D-10: who reaches whom, and who may write what


def test_only_doors_publish_ports_and_on_loopback_only() -> None:
    published = {name: entry["ports"] for name, entry in SERVICES.items() if "ports" in entry}

    assert published.keys() == DOORS
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_what_strangers_reach_leads_nowhere_but_to_the_service() -> None:
    assert COMPOSE["networks"] == {"outside": None, "edge": {"internal": True}, "control": {"internal": True}}
    assert set(SERVICES["nginx"]["networks"]) == {"outside", "edge"}
    assert {name for name, entry in SERVICES.items() if "edge" in entry.get("networks", ())} == {
        "nginx",
        "api",
        "grafana",
    }
    assert {name for name, entry in SERVICES.items() if "outside" in entry.get("networks", ())} == DOORS
    assert SERVICES["trainer"]["networks"] == SERVICES["postgres"]["networks"] == ["control"]


def test_without_a_profile_the_stack_starts_and_the_others_stay_away() -> None:
    assert {name: entry["profiles"] for name, entry in SERVICES.items() if "profiles" in entry} == {
        "operator": ["operator"],
        "bare": ["bare"],
    }


def test_only_the_trainer_writes_the_store_and_trains() -> None:
    assert mounts(SERVICES["api"])["/srv/models"] == ("models", False)
    assert mounts(SERVICES["trainer"])["/srv/models"] == ("models", True)
    assert SERVICES["api"]["environment"]["TABSERVE_TRAIN_CONCURRENCY"] == 0
    assert SERVICES["trainer"]["environment"]["TABSERVE_TRAIN_CONCURRENCY"] == 1
    assert SERVICES["api"]["command"] == ["--no-train-missing"]
    assert mounts(SERVICES["postgres"])["/var/lib/postgresql/data"] == ("database", True)


def test_every_variable_is_a_setting() -> None:
    known = {f"TABSERVE_{name.upper()}" for name in Settings.model_fields}

    assert {variable for name in OURS for variable in SERVICES[name]["environment"]} <= known


def test_every_mounted_file_exists() -> None:
    sources = {source for entry in SERVICES.values() for source, _ in mounts(entry).values()}

    assert all((PROJECT / source).exists() for source in sources if source.startswith("./"))
    assert {source for source in sources if not source.startswith("./")} == COMPOSE["volumes"].keys()


def test_no_container_runs_as_root() -> None:
    for name in SERVICES.keys() - OURS - ONCE:  # these run as the user of the image
        assert re.fullmatch(r"[1-9]\d*:\d+", SERVICES[name]["user"]), name
