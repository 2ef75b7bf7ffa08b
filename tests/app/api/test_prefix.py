"""F16: behind a proxy that serves below a path, every link leads back through it.

Only trusted proxies say which path.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from starlette.testclient import TestClient

from app.api.prefix import Prefixes
from app.errors import ConfigurationError
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.deployed import running
from tests.fakes import publish
from tests.processes import free_port, service

OWN = {"predict", "models", "train"}
PROXY = "10.0.0.5"
CSV = b"age,visits,churned\n" + b"".join(b"%d,%d,%s\n" % (n, n % 7, (b"no", b"yes")[n % 2]) for n in range(40))


@contextlib.contextmanager
def asked_by(peer: str, settings: Settings, **changes: str) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update=changes))
    with TestClient(app, client=(peer, 40000)) as client:
        yield client


@pytest.fixture
def filled(settings: Settings, repository: ModelRepository) -> Settings:
    """Return the settings of a service with two versions of a model."""
    publish(repository)
    publish(repository)
    return settings


def links(client: TestClient, below: str, headers: dict[str, str]) -> dict[str, str]:
    """Ask for everything that links to something, below a path, and return the links."""
    put = client.put(f"{below}/datasets/churn", content=CSV, headers={**headers, "content-type": "text/csv"})
    assert put.status_code == 201, put.text
    trainings = [client.post(f"{below}/train", json={"model": name}, headers=headers) for name in ("iris", "cancer")]
    assert [answer.status_code for answer in trainings] == [202, 202]
    found = {"data set": put.headers["location"], "training": trainings[0].headers["location"]}
    found["trainings"] = client.get(f"{below}/train", params={"limit": 1}, headers=headers).json()["next"]
    found["versions"] = client.get(f"{below}/models/means/versions", params={"limit": 1}, headers=headers).json()[
        "next"
    ]
    found["example"] = client.get(f"{below}/models/means", headers=headers).json()["example"]["path"]
    found["examples"] = client.get(f"{below}/models", headers=headers).json()["models"][0]["example"]["path"]
    servers = client.get(f"{below}/openapi.json", headers=headers).json().get("servers", [{"url": ""}])
    found["document"] = servers[0]["url"] + "/"
    for number, link in enumerate(
        re.findall(r'(?:href|src)="([^"]+)"', client.get(f"{below}/docs", headers=headers).text)
    ):
        found[f"page {number}"] = urljoin("/ml/docs", link)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "below"),
    [
        pytest.param("header", "", id="header, taken off by the proxy"),
        pytest.param("setting", "/ml", id="setting, left by the proxy", marks=pytest.mark.slow),
        pytest.param("header", "/ml", id="header, left by the proxy", marks=pytest.mark.slow),
        pytest.param("setting", "", id="setting, taken off by the proxy", marks=pytest.mark.slow),
    ],
)
def test_f16_links_lead_back_through_the_proxy(below: str, how: str, filled: Settings) -> None:
    changes = {"root_path": "/ml"} if how == "setting" else {"trusted_proxies": "10.0.0.0/24"}
    headers = {"x-forwarded-prefix": "/ml/"} if how == "header" else {}
    with asked_by(PROXY, filled, **changes, train_concurrency="0") as client:
        found = links(client, below, headers)

    assert len(found) >= 9
    assert {name: link for name, link in found.items() if not link.startswith("/ml/")} == {}
    assert {name: link for name, link in found.items() if link.startswith("/ml/ml/")} == {}


def test_f16_header_of_one_who_is_no_trusted_proxy_is_passed_over(filled: Settings) -> None:
    for changes in ({}, {"trusted_proxies": "10.0.0.5,fd00::/8"}):
        with asked_by("10.0.0.6", filled, **changes) as client:
            path = client.get("/models/means", headers={"x-forwarded-prefix": "/evil"}).json()["example"]["path"]
            assert path == "/predict/means"
            assert client.get("/evil/models/means", headers={"x-forwarded-prefix": "/evil"}).status_code == 404


@pytest.mark.parametrize(
    "given",
    ["", "/", "ml", "//evil.example", "/a//b", "/../x", "/ml?x", "/m l", "/predict", "/models/x", "/\xe4", "/a" * 9],
)
def test_f16_header_that_is_no_prefix_is_passed_over(given: str) -> None:
    scope = {
        "path": "/models/means",
        "client": (PROXY, 1),
        "headers": [(b"x-forwarded-prefix", given.encode("latin-1"))],
    }
    Prefixes("/own", PROXY, OWN).apply(scope)

    assert (scope["path"], scope["root_path"]) == ("/models/means", "/own")


def test_f16_header_that_comes_twice_is_passed_over() -> None:
    headers = [(b"x-forwarded-prefix", b"/a"), (b"x-forwarded-prefix", b"/b")]
    scope = {"path": "/models", "client": (PROXY, 1), "headers": headers}
    Prefixes("", PROXY, OWN).apply(scope)

    assert scope["root_path"] == ""


@pytest.mark.slow
def test_f16_both_ways_to_predict_and_all_errors_work_below_the_prefix(filled: Settings) -> None:
    with asked_by(PROXY, filled, root_path="/ml") as client:
        rows = {"instances": [[0.25, 0.75]]}
        answers = [client.post(f"{below}/predict/means", json=rows).json() for below in ("", "/ml")]
        infer = client.post("/ml/v2/models/means/infer", json={})
        statuses = [client.get(path).status_code for path in ("/ml/livez", "/livez", "/ml", "/ml/", "/mlx/livez")]

    assert answers[0] == answers[1]
    assert (infer.status_code, list(infer.json())) == (400, ["error"])
    assert statuses == [200, 200, 404, 200, 404]


@pytest.mark.parametrize(
    ("root_path", "trusted", "named"),
    [
        ("ml", "", "TABSERVE_ROOT_PATH='ml'"),
        ("/a b", "", "TABSERVE_ROOT_PATH"),
        ("/../a", "", "TABSERVE_ROOT_PATH"),
        ("/models", "", "begins like none of the service's own"),
        ("", "proxy.example", "TABSERVE_TRUSTED_PROXIES='proxy.example'"),
        ("", "10.0.0.1,10.0.0.5/24", "TABSERVE_TRUSTED_PROXIES='10.0.0.5/24'"),
    ],
)
def test_f16_setting_that_cannot_be_used_stops_the_start(root_path: str, trusted: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        Prefixes(root_path, trusted, OWN)


def test_f16_ipv4_address_in_ipv6_form_is_the_same_proxy() -> None:
    prefixes = Prefixes("", "10.0.0.5", OWN)
    scope = {"path": "/x", "client": ("::ffff:10.0.0.5", 1), "headers": [(b"x-forwarded-prefix", b"/ml")]}
    prefixes.apply(scope)

    assert scope["root_path"] == "/ml"


CONF = """
daemon off; pid %(folder)s/nginx.pid; error_log stderr;
events {}
http {
    access_log off; client_body_temp_path %(folder)s/bodies; proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi; uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    proxy_set_header Host $http_host;
    server {
        listen 127.0.0.1:%(port)d;
        location /off/ { proxy_set_header X-Forwarded-Prefix /off; proxy_pass %(upstream)s/; }
        location /left/ { proxy_set_header X-Forwarded-Prefix /left; proxy_pass %(upstream)s; }
    }
}
"""


@pytest.mark.slow
def test_f16_clients_follow_links_through_nginx(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    port = free_port()
    environment = {"TABSERVE_TRUSTED_PROXIES": "127.0.0.1", "TABSERVE_TRAIN_CONCURRENCY": "0"}
    with service(tmp_path, environment=environment) as (client, _):
        upstream = str(client.base_url).rstrip("/")
        (tmp_path / "nginx.conf").write_text(CONF % {"folder": tmp_path, "port": port, "upstream": upstream})
        command = ["nginx", "-c", str(tmp_path / "nginx.conf")]
        with (
            running(command, tmp_path / "nginx.log", port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as outside,
        ):
            for below, model in (("/off", "iris"), ("/left", "cancer")):
                location = outside.post(f"{below}/train", json={"model": model}).headers["location"]
                assert outside.get(location).json()["model"] == model
                example = outside.get(f"{below}/models/means").json()["example"]
                assert outside.post(example["path"], json=example["body"]).status_code == 200
                for page in ("/docs", "/"):
                    shown = outside.get(below + page, headers={"accept": "text/html"}).text
                    for asset in re.findall(r'(?:href|src)="([^"#]+)"', shown):
                        assert outside.get(urljoin(below + page, asset)).status_code == 200
            assert outside.get("/off/train", params={"limit": 1}).json()["next"].startswith("/off/train?")
