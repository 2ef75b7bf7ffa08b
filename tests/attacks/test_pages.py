"""Pages in a browser on this machine cannot use a service without keys (S-25)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from modelstore import ModelRepository
from tests.app.sockets import GOOD, JSON, connected, request
from tests.attacks.conftest import FEATURES, store_in
from tests.fakes import publish
from tests.processes import service
from tests.promises import Measured

pytestmark = pytest.mark.slow

ALLOWED = "https://app.example.org"
EVIL = {"origin": "https://evil.test"}
ACTIVATE = "/models/iris/versions/2/activate"


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("keyless")
    store_in(folder)
    repository = ModelRepository(folder / "models")
    publish(repository, "iris", features=FEATURES, classes=("setosa", "virginica"), activate=False)
    with service(folder, environment={"TABSERVE_CORS_ORIGINS": ALLOWED}) as (client, _):
        yield client


def status(client: httpx.Client, message: bytes) -> int:
    with connected(client.base_url) as connection:
        connection.send(message)
        return connection.answer().status


def test_form_of_another_page_activates_trains_and_deletes_nothing(keyless: httpx.Client, measured: Measured) -> None:
    """A browser sends these without a preflight: no body, or a body of one of a form's types."""
    form = {"content-type": "application/x-www-form-urlencoded", **EVIL}
    asked = [
        ("POST", ACTIVATE, b"", EVIL),
        ("POST", ACTIVATE, b"a=1", form),
        ("POST", ACTIVATE, b"", {"origin": "null"}),
        ("POST", ACTIVATE, b"", {"sec-fetch-site": "cross-site"}),
        ("POST", ACTIVATE, b"", {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"}),
        ("DELETE", "/models/iris/versions/2", b"", EVIL),
        ("POST", "/train", b'{"model": "iris"}', {**JSON, **EVIL}),
        ("PUT", "/datasets/mine", b"a,b\n1,x\n2,y\n", {"content-type": "text/csv", **EVIL}),
    ]
    for method, path, body, headers in asked:
        assert status(keyless, request(body, path, headers, method=method)) == 403, (method, path, headers)

    assert keyless.get("/models/iris").json()["active_version"] == 1
    assert len(keyless.get("/models/iris/versions").json()["versions"]) == 2
    assert keyless.get("/train").json()["jobs"] == []
    assert keyless.get("/datasets").json()["datasets"] == []
    measured("S-25", f"{len(asked)} requests of another site's page without a key: all 403, nothing changed")


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?", "/v2/models/iris/infer"])
def test_no_way_to_a_prediction_forgets_to_ask_where_a_page_is_from(path: str, keyless: httpx.Client) -> None:
    own = {"origin": str(keyless.base_url).rstrip("/")}
    with connected(keyless.base_url) as connection:
        for headers in (EVIL, {"sec-fetch-site": "cross-site"}, {**own, "sec-fetch-site": "cross-site"}):
            connection.send(request(GOOD, path, {**JSON, **headers}))
            assert connection.answer().status == 403, headers
        host = f"{keyless.base_url.host}:{keyless.base_url.port}"
        for headers in ({}, own, {"origin": ALLOWED}, {"sec-fetch-site": "same-origin"}):
            connection.send(request(GOOD, path, {**JSON, **headers}).replace(b"localhost", host.encode()))
            assert connection.answer().status in ((200,) if path.startswith("/predict") else (400,)), headers


def test_own_page_a_configured_one_and_curl_may_activate(keyless: httpx.Client) -> None:
    host = f"{keyless.base_url.host}:{keyless.base_url.port}"
    for headers in ({"origin": f"http://{host}"}, {"origin": ALLOWED, "sec-fetch-site": "cross-site"}, {}):
        message = request(b"", "/models/iris/versions/1/activate", headers).replace(b"localhost", host.encode())
        assert status(keyless, message) == 200, headers
