"""Cards, pictures and artifacts of versions, through the real app."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.fakes import MeanModel, manifest_for, publish, script
from tests.processes import PROJECT
from tests.settings import settings_in
from tests.trainings import trained

CARD = "/models/means/versions/1/card"
PICTURE = b"\x89PNG of losses"


def publish_pictured(repository: ModelRepository) -> None:
    """Publish a version of `means` that has two pictures and a history."""
    data = script(MeanModel(2, 0.0))
    files = {"loss.png": PICTURE, "confusion.png": b"2", "history.jsonl": b"{}", "reliability.json": b'{"rows":2}'}
    repository.publish(manifest_for(MeanModel(2, 0.0), data), data, files)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of a service in which version 2 of `means` has pictures."""
    folder = tmp_path_factory.mktemp("pictured")
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish_pictured(repository)
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "application/json"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("", "text/markdown", "text/markdown; charset=utf-8"),
        ("?format=html", "application/json", "text/html; charset=utf-8"),
        ("?format=markdown", "text/html", "text/markdown; charset=utf-8"),
    ],
)
def test_card_comes_in_the_format_that_is_asked_for(steady: TestClient, query: str, accept: str, kind: str) -> None:
    answer = steady.get(CARD + query, headers={"accept": accept})

    assert (answer.status_code, answer.headers["content-type"], answer.headers["vary"]) == (200, kind, "Accept")
    assert "means" in answer.text


def test_unknown_format_version_and_model_are_refused(steady: TestClient) -> None:
    assert assert_problem(steady.get(f"{CARD}?format=pdf"), 422)["errors"][0]["feature"] == "format"
    assert_problem(steady.get("/models/means/versions/9/card"), 404)
    assert_problem(steady.get("/models/nothing/versions/1/card"), 404)


def test_page_allows_its_own_style_and_no_script(steady: TestClient) -> None:
    page = steady.get(CARD, headers={"accept": "text/html"})

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert "<script" not in page.text
    assert page.text.count("<style>") == 1


def test_live_figures_are_in_the_card_once_there_are_labels(client: TestClient) -> None:
    assert "Live figures" not in client.get(f"{CARD}?format=html").text
    asked = client.post("/predict/means", json={"instances": [[0.9, 0.5]]}, headers={"x-prediction-receipt": "1"})
    given = {"receipt": asked.json()["predictions"][0]["receipt"], "label": "high"}
    client.post("/feedback", json={"feedback": [given]})

    card = client.get(f"{CARD}?format=markdown").text

    assert "Labels that came for answers of the last 30 days: 1." in card
    assert "| mean confidence | 0.7000 |  |" in card


def test_request_of_a_card_works_as_it_is(steady: TestClient) -> None:
    line = steady.get(CARD, headers={"accept": "text/markdown"}).text.splitlines()[-1]

    _, address, _, header, _, body = shlex.split(line)
    name, value = header.split(": ")
    answer = steady.post(address, content=body, headers={name: value})

    assert (answer.status_code, answer.json()["version"]) == (200, 1)


def test_statements_of_a_model_are_in_the_cards_of_all_its_versions_until_they_are_replaced(
    client: TestClient, repository: ModelRepository, settings: Settings
) -> None:
    publish(repository, activate=False)
    said = {"owner": "Credit team", "sensitive_columns": ["left"], "review_date": "2027-01-02"}

    stated = client.put("/models/means/card", json=said)

    assert (stated.status_code, stated.json()) == (200, said)
    for version in (1, 2):
        page = client.get(f"/models/means/versions/{version}/card?format=html").text
        assert "Credit team" in page
        assert page.count("not stated") == 6
    assert client.put("/models/means/card", json={}).json() == {}
    assert client.get(f"{CARD}?format=html").text.count("not stated") == 9
    audited = [json.loads(line) for line in (settings.state_dir / "audit.jsonl").read_text().splitlines()]
    assert [(one["model"], one["outcome"]) for one in audited if one["action"] == "model.card"] == [
        ("means", "asked"),
        ("means", "ok"),
        ("means", "asked"),
        ("means", "ok"),
    ]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "x" * 2001}, "owner"),
        ({"review_date": "soon"}, "review_date"),
        ({"sensitive_columns": "age"}, "sensitive_columns"),
        ({"ownr": "team"}, "ownr"),
    ],
    ids=str,
)
def test_statement_that_cannot_be_is_refused_by_name(steady: TestClient, said: dict[str, object], field: str) -> None:
    problem = assert_problem(steady.put("/models/means/card", json=said), 422)

    assert [error["feature"] for error in problem["errors"]] == [field]
    assert_problem(steady.put("/models/nothing/card", json={"owner": "team"}), 404)


def test_damaged_statements_are_not_taken_for_none(client: TestClient, repository: ModelRepository) -> None:
    (repository.root / "means" / "CARD").write_text("{")

    assert_problem(client.get(CARD), 503)


def test_card_of_a_broken_version_is_refused_with_the_reason(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    (repository.root / "means" / "2" / "manifest.json").write_text("{")

    problem = assert_problem(client.get("/models/means/versions/2/card"), 409)

    assert problem["detail"].startswith("means version 2 was refused (manifest_invalid): ")


def test_pictures_are_listed_and_sent_once(pictured: TestClient) -> None:
    plots = pictured.get("/models/means/versions/2/plots").json()["plots"]

    assert [plot["name"] for plot in plots] == ["confusion", "loss"]
    answer = pictured.get(plots[1]["path"])
    assert (answer.content, answer.headers["content-type"]) == (PICTURE, "image/png")
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert answer.headers["etag"] == f'"{hashlib.sha256(PICTURE).hexdigest()}"'
    again = pictured.get(plots[1]["path"], headers={"if-none-match": f'"x", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert pictured.get("/models/means/versions/1/plots").json() == {"plots": [], "data": []}


def test_data_of_a_plot_are_sent_and_a_manifest_is_none(pictured: TestClient) -> None:
    (data,) = pictured.get("/models/means/versions/2/plots").json()["data"]

    answer = pictured.get(data["path"])

    assert (data["name"], answer.json(), answer.headers["content-type"]) == (
        "reliability",
        {"rows": 2},
        "application/json",
    )
    assert pictured.get(data["path"], headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    problem = assert_problem(pictured.get("/models/means/versions/2/plots/manifest.json"), 404)
    assert "there are: reliability.json" in problem["detail"]


def test_nothing_but_a_picture_of_the_version_is_sent(pictured: TestClient) -> None:
    hostile = ("..%2fmodel.png", "%2e%2e%2f%2e%2e%2f2%2floss.png", "loss%00.png", "history.jsonl", "loss", "LOSS.png")
    for name in hostile:
        assert_problem(pictured.get(f"/models/means/versions/2/plots/{name}"), 404)

    problem = assert_problem(pictured.get("/models/means/versions/2/plots/other.png"), 404)
    assert "there are: confusion.png, loss.png" in problem["detail"]


def test_link_in_place_of_a_picture_is_not_followed(client: TestClient, repository: ModelRepository) -> None:
    publish_pictured(repository)
    file = repository.root / "means" / "2" / "loss.png"
    file.unlink()
    file.symlink_to("manifest.json")

    assert_problem(client.get("/models/means/versions/2/plots/loss.png"), 404)


def test_artifact_is_sent_as_it_was_published_with_its_hash(client: TestClient, repository: ModelRepository) -> None:
    path = "/models/means/versions/1/model.pt"
    published = (repository.root / "means" / "1" / "model.pt").read_bytes()

    answer = client.get(path)

    assert (answer.status_code, answer.content) == (200, published)
    assert answer.headers["etag"] == f'"{hashlib.sha256(published).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(published))
    assert client.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    (repository.root / "means" / "1" / "model.pt").write_bytes(published[:-1] + b"\0\0")
    assert "integrity_sha256" in assert_problem(client.get(path), 409)["detail"]


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
def test_cards_of_a_built_in_and_of_an_uploaded_model_are_complete(tmp_path: Path) -> None:
    rows = "".join(f"{n % 50},{'ab'[n % 2]},{n % 97 / 7:.2f},{'yes' if n % 50 > 25 else 'no'}\n" for n in range(400))
    own = {"model": "churn", "dataset": "churn", "target": "left", "overrides": {"learner": "trees", "budget_s": 1}}
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    with TestClient(create_app(settings_in(tmp_path, data_dir=PROJECT / "data"))) as client:
        client.put("/datasets/churn", content=f"<script>age</script>,plan,usage,left\n{rows}")
        for request in ({"model": "iris", "overrides": {"epochs": 3}}, own):
            said = request | {"card": {"owner": "tests", "review_date": "2027-01-02"}}
            job = trained(client, said)
            assert (job["status"], job["card"]["owner"]) == ("succeeded", "tests"), job
        for model in ("iris", "churn"):
            until(lambda name=model: client.get(f"/models/{name}").status_code == 200, "it serves")  # type: ignore[misc]
            path = f"/models/{model}/versions/1/card"
            page, bom = client.get(f"{path}?format=html"), client.get(path)
            assert len(page.content) <= 300_000
            assert "<script" not in page.text
            assert page.text.count("<h2>") == 16
            assert page.text.count("not stated") == 7
            assert validator.validate_str(bom.text) is None
            line = client.get(path, headers={"accept": "text/markdown"}).text.splitlines()[-1]
            _, address, _, header, _, body = shlex.split(line)
            name, value = header.split(": ")
            assert client.post(address, content=body, headers={name: value}).status_code == 200
