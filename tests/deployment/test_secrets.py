"""The secrets of the stack: created once, visible only where needed, accepted (D-07)."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from app.security.keys import KeyFile, Scope, digest_of
from modelstore import ModelRepository
from modelstore.signing import MIN_KEY_BYTES, SigningKey
from tests.deployed import COMPOSE, SECRETS, environment_of, make_secrets
from tests.deployment.test_compose import every_service, mounts
from tests.fakes import publish
from tests.processes import service

SERVICES: dict[str, Any] = COMPOSE["services"]
KEYS = "service/keys.json"


def files(folder: Path) -> dict[str, str]:
    """Return the files in the volumes, by volume and name."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.glob("*/*")}


def scopes(folder: Path, key: str) -> set[Scope]:
    """Return the scopes of a key; none if it is not in the key file."""
    digest = digest_of(key.strip().encode()).hex()
    return {scope for stored in KeyFile(folder / KEYS).read() if stored.sha256 == digest for scope in stored.scopes}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder)
    return folder


@every_service
def test_no_secret_stands_in_a_variable(entry: Any) -> None:
    for name, value in entry.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL", name) and value not in {"true", "false"}:
            assert name.endswith("_FILE")
            assert re.match(r"/run/(secrets|tabserve)/", str(value))
    assert "env_file" not in entry


def of(entry: Any) -> dict[str, tuple[str, bool]]:
    """Return the secrets that a service mounts: name to path in the container, and whether they are writable."""
    return {
        source.removesuffix("-secrets"): (path, may_write)
        for path, (source, may_write) in mounts(entry).items()
        if source in COMPOSE["volumes"] and source.endswith("-secrets")
    }


def test_every_service_sees_its_own_secrets_only() -> None:
    seen = {name: {secret: path for secret, (path, _) in of(entry).items()} for name, entry in SERVICES.items()}

    assert seen == {
        "api": {"database": "/run/secrets", "service": "/run/tabserve"},
        "trainer": {"database": "/run/secrets", "service": "/run/tabserve"},
        "bare": {"service": "/run/tabserve"},
        "postgres": {"database": "/run/secrets"},
        "prometheus": {"prometheus": "/run/secrets"},
        "grafana": {"grafana": "/run/secrets"},
        "secrets": {name: f"/srv/secrets/{name}" for name in SECRETS},
        "nginx": {},
        "operator": {},
    }


def test_nobody_but_who_makes_secrets_may_write_them() -> None:
    writers = {name for name, entry in SERVICES.items() if any(may_write for _, may_write in of(entry).values())}

    assert writers == {"secrets"}
    assert SERVICES["secrets"]["network_mode"] == "none"


def test_who_uses_secrets_waits_until_they_are_made() -> None:
    for name, entry in SERVICES.items():
        if name != "secrets" and of(entry):
            assert entry["depends_on"]["secrets"] == {"condition": "service_completed_successfully"}, name


@pytest.mark.slow
def test_secrets_are_made_once_and_only_their_group_may_read_them(made: Path) -> None:
    before = files(made)
    make_secrets(made)

    assert files(made) == before
    assert before.keys() == {
        *("database/postgres_password", "database/tabserve_database_url", "grafana/grafana_password"),
        *("service/keys.json", "service/signing_key", "operator/operator_key", "prometheus/metrics_key"),
    }
    modes = {name: stat.S_IMODE((made / name).stat().st_mode) for name in before}
    assert modes.pop(KEYS) == 0o600  # only the service's user: it is replaced when keys are created or revoked
    assert set(modes.values()) == {0o440}


@pytest.mark.slow
def test_secrets_are_long_and_no_two_are_alike(made: Path) -> None:
    found = files(made)
    born = [text for name, text in found.items() if name not in {KEYS, "database/tabserve_database_url"}]

    assert len(set(born)) == len(born) == 5
    assert all(len(text) >= 40 for text in born)
    assert f":{found['database/postgres_password']}@postgres:" in found["database/tabserve_database_url"]
    assert len(SigningKey.read(made / "service" / "signing_key").secret) >= MIN_KEY_BYTES
    assert not any(text in found[KEYS] for text in born)


@pytest.mark.slow
def test_the_operators_key_opens_everything_and_prometheus_reads_figures_only(made: Path) -> None:
    shown = make_secrets(made, "show")

    assert scopes(made, shown) == set(Scope)
    assert scopes(made, (made / "prometheus" / "metrics_key").read_text()) == {Scope.METRICS}


@pytest.mark.slow
def test_a_making_that_was_cut_off_is_completed(made: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path)
    kept = files(tmp_path)
    (tmp_path / "operator" / "operator_key").rename(tmp_path / "operator" / "operator_key.new")
    make_secrets(tmp_path)
    completed = files(tmp_path)

    assert completed.keys() == kept.keys()
    assert scopes(tmp_path, completed["operator/operator_key"]) == set(Scope)
    assert completed["operator/operator_key"] != kept["operator/operator_key"]
    assert {name for name in kept if completed[name] != kept[name]} == {"operator/operator_key", KEYS}


@pytest.mark.slow
def test_keys_for_clients_are_made_and_revoked_in_the_stack(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    key = make_secrets(tmp_path, "keys", "create", "--scopes", "predict", "--note", "the shop").strip()
    identity = key.split("_")[1]

    assert scopes(tmp_path, key) == {Scope.PREDICT}
    assert f"{identity}  predict" in make_secrets(tmp_path, "keys", "list")
    make_secrets(tmp_path, "keys", "revoke", identity)
    assert scopes(tmp_path, key) == set()


@pytest.mark.slow
@pytest.mark.parametrize("locked", [False, True], ids=["as it comes", "with TABSERVE_ANONYMOUS=predict"])
def test_the_bare_service_trains_for_this_machine_and_for_no_page_of_another_name(tmp_path: Path, locked: bool) -> None:
    make_secrets(tmp_path / "secrets")
    (tmp_path / "audit").mkdir()
    publish(ModelRepository(tmp_path / "models", SigningKey.read(tmp_path / "secrets" / "service" / "signing_key")))
    environment = environment_of("bare", tmp_path) | ({"TABSERVE_ANONYMOUS": "predict"} if locked else {})
    activate = "/models/means/versions/1/activate"
    with service(tmp_path, environment=environment) as (client, _):
        assert client.post("/predict/means", json={"instances": [[0, 1]]}).status_code == 200
        assert client.post(activate).status_code == (401 if locked else 200)
        assert client.post(activate, headers={"host": "localhost:8000"}).status_code == (401 if locked else 200)
        assert client.post(activate, headers={"host": "page.example"}).status_code == 421
        key = {"authorization": f"Bearer {make_secrets(tmp_path / 'secrets', 'show').strip()}"}
        assert client.post(activate, headers=key).status_code == 200
