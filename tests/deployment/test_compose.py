"""The deployment files against the published schema and our policy (D-03 to D-10)."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from app.server.run import SHUTDOWN_GRACE_S
from app.settings import Settings
from tests.deployed import COMPOSE
from tests.deployment.test_image import LAST_STAGE
from tests.processes import PROJECT

COMPOSE_SCHEMA = PROJECT.parent / "shared" / "specs" / "compose-spec.json"
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {"api", "trainer", "bare"}
ONCE = {"secrets"}  # ends when it is done
LASTING = sorted(SERVICES.keys() - ONCE)
DOORS = {"nginx", "operator", "bare"}  # may publish a port

every_service = pytest.mark.parametrize("entry", SERVICES.values(), ids=SERVICES)
every_lasting_service = pytest.mark.parametrize("entry", [SERVICES[name] for name in LASTING], ids=LASTING)


def mounts(entry: Any) -> dict[str, tuple[str, bool]]:
    """Return the mounts of a service: path in the container to source, and whether it is writable."""
    parts = [volume.split(":") for volume in entry.get("volumes", ())]
    return {path: (source, "ro" not in mode) for source, path, *mode in parts}


def gigabytes(limit: str) -> float:
    return float(limit[:-1]) / {"m": 1024, "g": 1}[limit[-1]]


@pytest.mark.skipif(not COMPOSE_SCHEMA.exists(), reason="the published compose schema is not beside this checkout")
def test_compose_file_follows_the_published_schema() -> None:
    jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA.read_text())).validate(COMPOSE)


# D-03 to D-06: permissions of each service


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
    drain_s = Settings().drain_s

    assert int(entry["stop_grace_period"].removesuffix("s")) >= SHUTDOWN_GRACE_S + drain_s + 5


def test_our_services_are_asked_whether_they_are_ready() -> None:
    assert {tuple(SERVICES[name]["healthcheck"]["test"]) for name in OURS} == {
        ("CMD", "python", "-m", "app.server.healthcheck")
    }


# D-08 to D-10: networks and write access


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


def test_grafana_fetches_nothing_and_tells_nobody() -> None:
    environment = SERVICES["grafana"]["environment"]
    off = {
        *("GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES"),
        "GF_NEWS_NEWS_FEED_ENABLED",
    }
    disabled = {
        *("GF_SECURITY_DISABLE_GRAVATAR", "GF_PLUGINS_PREINSTALL_DISABLED"),
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED",
    }

    assert {environment[name] for name in off} == {"false"}
    assert {environment[name] for name in disabled} == {"true"}
    assert not any("INSTALL" in name for name in environment.keys() - disabled)


def test_strangers_may_predict_and_no_more_even_where_nginx_does_not_stand() -> None:
    given = {name: SERVICES[name]["environment"]["TABSERVE_ANONYMOUS"] for name in OURS}

    assert given["api"] == given["trainer"] == "${TABSERVE_ANONYMOUS-predict}"
    assert {SERVICES[name]["environment"]["TABSERVE_KEYS_FILE"] for name in OURS} == {"/run/tabserve/keys.json"}


def test_the_bare_service_opens_to_this_machine_what_scripts_serve_opens() -> None:
    """All scopes, but to no page in a browser that goes by another name (DNS rebinding)."""
    environment = SERVICES["bare"]["environment"]

    assert environment["TABSERVE_ANONYMOUS"] == "${TABSERVE_ANONYMOUS-predict,train,admin,metrics}"
    assert environment["TABSERVE_ALLOWED_HOSTS"] == "localhost,127.0.0.1"
    assert SERVICES["bare"]["networks"] == ["outside"]


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
    assert "TABSERVE_DEMO" not in SERVICES["api"]["environment"]
    assert [SERVICES[name]["environment"]["TABSERVE_DEMO"] for name in ("trainer", "bare")] == [
        "${TABSERVE_DEMO:-false}"
    ] * 2
    assert mounts(SERVICES["postgres"])["/var/lib/postgresql/data"] == ("database", True)


def test_versions_are_signed_where_they_are_trained_and_checked_wherever_they_serve() -> None:
    keys = {SERVICES[name]["environment"]["TABSERVE_SIGNING_KEY_FILE"] for name in OURS}

    assert keys == {"/run/tabserve/signing_key"}
    assert all(mounts(SERVICES[name])["/run/tabserve"] == ("service-secrets", False) for name in OURS)


def test_logs_are_json_and_the_audit_file_outlives_its_container() -> None:
    for name in OURS:
        environment = SERVICES[name]["environment"]
        folder, _, _ = environment["TABSERVE_AUDIT_FILE"].rpartition("/")
        assert environment["TABSERVE_LOG_FORMAT"] == "json"
        assert mounts(SERVICES[name])[folder] == ("audit", True)


def test_every_volume_that_we_write_belongs_to_the_images_user() -> None:
    """A volume takes over owner and mode of the folder in the image; where there is none it would be root's."""
    (made,) = re.findall(r"^RUN install --directory --owner=10001 --group=10001 --mode=0750 (.*)$", LAST_STAGE, re.M)
    volumes = {
        path
        for name in OURS | ONCE
        for path, (source, _) in mounts(SERVICES[name]).items()
        if source in COMPOSE["volumes"]
    }

    assert volumes <= set(made.split())


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
