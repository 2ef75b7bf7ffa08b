"""A service as exposed to the public: with a key file, and a key for each scope."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import PROJECT, service

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


@dataclass(frozen=True)
class Guarded:
    """A running service with the model `iris`, and a key for each scope."""

    client: httpx.Client
    pid: int
    keys: dict[Scope, str]
    key_file: KeyFile
    log: Path

    @property
    def url(self) -> httpx.URL:
        return self.client.base_url

    def bearer(self, scope: Scope) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[scope]}"}


def store_in(folder: Path) -> None:
    publish(ModelRepository(folder / "models"), "iris", features=FEATURES, classes=("setosa", "virginica"))


@contextlib.contextmanager
def keyless(folder: Path, environment: Mapping[str, str] | None = None, cwd: Path = PROJECT) -> Iterator[Guarded]:
    """Run a service with the model `iris` and without keys, under these settings."""
    store_in(folder)
    with service(folder, environment=environment, cwd=cwd) as (client, process):
        yield Guarded(client, process.pid, {}, None, folder / "service.log")  # type: ignore[arg-type] # no keys


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    store_in(folder)
    key_file = KeyFile(folder / "keys.json")
    keys = {scope: key_file.create(frozenset((scope,)), None, scope) for scope in Scope}
    with service(folder, environment={"TABSERVE_KEYS_FILE": str(key_file.path)}) as (client, process):
        yield Guarded(client, process.pid, keys, key_file, folder / "service.log")
