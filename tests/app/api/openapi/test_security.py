"""Keys in the OpenAPI document: only where there are any, and as the access table has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.security.keys import KeyFile, Scope
from app.security.permissions import AccessTable
from app.settings import Settings
from modelstore import ModelRepository
from tests.fakes import publish


def described(settings: Settings, folder: Path, **changes: object) -> dict[str, Any]:
    """Return the document of a service with a key for everything."""
    file = KeyFile(folder / "keys.json")
    key = file.create(frozenset(Scope), None, "")
    keyed = settings.model_copy(update={"keys_file": file.path, **changes})
    with TestClient(create_app(keyed), headers={"authorization": f"Bearer {key}"}) as client:
        found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_operation_names_the_scope_that_opens_it(
    settings: Settings, tmp_path: Path, repository: ModelRepository
) -> None:
    publish(repository)
    document = described(settings, tmp_path)

    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    routes = AccessTable().routes
    for path, item in document["paths"].items():
        for method, operation in item.items():
            scope = routes["/predict/{model}" if path == "/predict/means" else path][method.upper()].scope
            assert operation["security"] == ([] if scope is None else [{"key": [scope]}]), path
            assert scope is None or {"401", "403", "429"} <= operation["responses"].keys()


@pytest.mark.slow
def test_what_strangers_may_do_needs_no_key_but_takes_one(settings: Settings, tmp_path: Path) -> None:
    document = described(settings, tmp_path, anonymous="predict")

    assert document["paths"]["/predict/{model}"]["post"]["security"] == [{"key": ["predict"]}, {}]
    assert document["paths"]["/metrics"]["get"]["security"] == [{"key": ["metrics"]}]


@pytest.mark.parametrize("path", ["/predict/{model}", "/train"])
def test_without_keys_nothing_asks_for_one(path: str, steady: TestClient) -> None:
    document = steady.get("/openapi.json").json()

    assert "securitySchemes" not in document["components"]
    assert "security" not in document["paths"][path]["post"]
