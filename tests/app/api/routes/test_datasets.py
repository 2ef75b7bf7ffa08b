"""The routes of data sets through the real app and its real check.

tests/scenarios/test_own_data.py has the socket.
"""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.app.asgi import ask
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.settings import settings_in

CSV = {"content-type": "text/csv"}
GOOD = b"years,calls,churned\n1,9,yes\n2,7,yes\n8,3,no\n9,1,no\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("datasets"), max_dataset_bytes=2000, max_body_bytes=1024)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def kept(settings: Settings) -> list[str]:
    found = settings.datasets_dir.rglob("*")
    return sorted(path.name for path in found if path.name != ".lock")


@pytest.mark.slow
def test_data_set_is_taken_shown_replaced_and_removed(client: TestClient, settings: Settings) -> None:
    first = client.put("/datasets/churn", content=GOOD, headers=CSV)
    again = client.put("/datasets/churn", content=GOOD, headers={"content-type": "Text/CSV; charset=utf-8"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["location"] == "/datasets/churn"
    shown = client.get("/datasets/churn").json()
    assert shown == first.json() == again.json()
    assert (shown["name"], shown["rows"], shown["size_bytes"]) == ("churn", 4, len(GOOD))
    years, _, churned = shown["columns"]
    assert (years["name"], years["type"], years["minimum"], years["maximum"]) == ("years", "numeric", 1, 9)
    assert (churned["type"], churned["classes"]) == ("boolean", {"yes": 2, "no": 2})
    (listed,) = client.get("/datasets").json()["datasets"]
    assert {name: listed[name] for name in ("name", "rows", "columns", "sha256")} == {
        "name": "churn",
        "rows": 4,
        "columns": 3,
        "sha256": shown["sha256"],
    }

    deleted = client.delete("/datasets/churn")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(client.delete("/datasets/churn"), 404)
    assert client.get("/datasets").json() == {"datasets": []}
    assert kept(settings) == []


def test_fault_is_a_problem_with_its_line_and_column(client: TestClient, settings: Settings) -> None:
    problem = assert_problem(client.put("/datasets/broken", content=b"x,x,y\n1,2,a\n", headers=CSV), 422)

    assert problem["type"] == "urn:tabserve:problem:invalid-dataset"
    assert (problem["errors"][0]["row"], problem["errors"][0]["feature"]) == (1, "x")
    assert_problem(client.get("/datasets/broken"), 404)
    assert kept(settings) == []


def test_form_that_holds_a_file_is_refused_with_advice(client: TestClient) -> None:
    problem = assert_problem(client.put("/datasets/churn", files={"file": GOOD}), 415)

    assert "curl -T" in problem["detail"]


GERMAN = "Jahr;Betr\xe4ge;St\xe4dte\n2019;1,5;K\xf6ln\n2021;2,5;Bonn\n2022;3,5;K\xf6ln\n2024;4,75;Bonn\n"


def as_parquet() -> bytes:
    stream = io.BytesIO()
    table = pa.table({"day": ["2019-01-02", None, "2022-05-06", "2024-07-08"], "sum": [1.5, None, 3.5, 4.75]})
    parquet.write_table(table, stream, store_schema=False)
    return stream.getvalue()


FILES = {
    "Parquet": (as_parquet(), {}, ("day", "sum"), 4.75),
    "semicolons with decimal comma": (GERMAN.encode(), {}, ("Jahr", "Betr\xe4ge", "St\xe4dte"), 4.75),
    "cp1252": (GERMAN.encode("cp1252"), {"encoding": "cp1252"}, ("Jahr", "Betr\xe4ge", "St\xe4dte"), 4.75),
    "no header": (b"2019,1.5,a\n2021,2,b\n2022,3,a\n", {"header": "false"}, ("c1", "c2", "c3"), 3),
    "gzip": (
        gzip.compress(GERMAN.encode()),
        {"delimiter": ";", "decimal": ","},
        ("Jahr", "Betr\xe4ge", "St\xe4dte"),
        4.75,
    ),
    "tabs": (b"x\ty\tz\n2019\t1\ta\n2021\t2\tb\n2022\t4\ta\n", {"delimiter": "tab"}, ("x", "y", "z"), 4),
    "lines that are no rows": (
        b"a title\nx,y,z\nm,s,-\n%9\n2019,1,a\n2021,2,b\n2022,4,a\nin all,7,\n",
        {"skip_rows": "1", "skip_below": "1", "skip_footer": "1", "comment": "%"},
        ("x", "y", "z"),
        4,
    ),
}


SLOW = (
    "Parquet",
    "semicolons with decimal comma",
    "cp1252",
    "no header",
    "gzip",
    "tabs",
)  # a process each; tests of the readers have them, too


@pytest.mark.parametrize(
    ("body", "options", "names", "largest"),
    [pytest.param(*file, id=name, marks=pytest.mark.slow if name in SLOW else ()) for name, file in FILES.items()],
)
def test_file_is_read_as_the_options_say_whatever_its_content_type_says(
    client: TestClient, body: bytes, options: dict[str, str], names: tuple[str, ...], largest: float
) -> None:
    put = client.put("/datasets/dialects", content=body, params=options, headers={"content-type": "application/json"})

    shown = put.json()
    assert put.status_code == 201, shown
    assert tuple(column["name"] for column in shown["columns"]) == names
    assert (shown["columns"][1]["type"], shown["columns"][1]["maximum"]) == ("numeric", largest)
    assert client.get("/datasets/dialects").json() == shown
    assert client.delete("/datasets/dialects").status_code == 204


@pytest.mark.slow
def test_same_bytes_with_other_options_replace_the_data_set(client: TestClient, settings: Settings) -> None:
    body = b"1;1,5\n2;2,5\n3;3,5\n"

    headed = client.put("/datasets/twice", content=body, params={"header": "true"})
    bare = client.put("/datasets/twice", content=body, params={"header": "false", "decimal": ","})

    assert (headed.status_code, bare.status_code) == (201, 200)
    assert (headed.json()["dialect"]["header"], headed.json()["rows"]) == (True, 2)
    assert (bare.json()["dialect"]["header"], bare.json()["rows"]) == (False, 3)
    assert (headed.json()["dialect"]["delimiter"], headed.json()["dialect"]["decimal"]) == (";", ",")
    assert bare.json() == client.get("/datasets/twice").json()
    assert headed.json()["sha256"] == bare.json()["sha256"]
    assert kept(settings).count("twice.csv") == 1
    assert client.delete("/datasets/twice").status_code == 204


@pytest.mark.parametrize(
    ("options", "feature", "said"),
    [
        ({"delimeter": ";"}, "delimeter", "perhaps delimiter is meant"),
        ({"encoding": "latin-1"}, "encoding", "'cp1252'"),
        ({"header": "maybe"}, "header", "true or false"),
        ({"skip_rows": "-1"}, "skip_rows", "0"),
        ({"comment": "a"}, None, "comment character"),
    ],
)
def test_wrong_option_is_named_before_the_file_is_read(
    client: TestClient, options: dict[str, str], feature: str | None, said: str
) -> None:
    problem = assert_problem(client.put("/datasets/churn", content=GOOD, params=options), 422)

    assert problem["errors"][0].get("feature") == feature
    assert said in problem["errors"][0]["problem"]


@pytest.mark.slow
@pytest.mark.parametrize("type_", [None, "text/csv", "application/vnd.apache.parquet", "application/json"])
def test_limit_is_that_of_data_sets_and_not_of_other_bodies(
    client: TestClient, settings: Settings, type_: str | None
) -> None:
    """`curl -T` sends no type; such a body was held to the limit of bodies in memory."""
    headers = {"content-type": type_} if type_ else {}
    longer = GOOD + b"5,5,no\n" * 200  # than a body that is held in memory may be
    assert len(longer) > settings.max_body_bytes
    assert client.put("/datasets/longer", content=longer, headers=headers).status_code == 201
    assert client.delete("/datasets/longer").status_code == 204

    problem = assert_problem(client.put("/datasets/big", content=GOOD + b"x" * 2000, headers=headers), 413)

    assert "TABSERVE_MAX_DATASET_BYTES" in problem["detail"]
    assert kept(settings) == []


@pytest.mark.parametrize(
    ("length", "pieces_read"), [(b"2001", 0), (b"9" * 30, 0), (None, 3)], ids=["declared", "absurd", "chunked"]
)
def test_too_much_is_refused_before_a_byte_if_it_is_said_before(
    settings: Settings, length: bytes | None, pieces_read: int
) -> None:
    headers = [(b"content-type", b"text/csv"), *([(b"content-length", length)] if length else [])]

    answer = asyncio.run(ask(create_app(settings), "/datasets/big", (b"x" * 900,) * 5, headers, "PUT"))

    assert (answer.status, answer.pieces_read) == (413, pieces_read)
    assert kept(settings) == []


def test_client_that_goes_away_leaves_nothing(settings: Settings) -> None:
    answer = asyncio.run(ask(create_app(settings), "/datasets/gone", (), [(b"content-type", b"text/csv")], "PUT"))

    assert answer.body == b""
    assert kept(settings) == []


@pytest.mark.parametrize("name", ["A", "..%2fa", "%2e%2e", ".lock", "CURRENT", "a" * 65, "a%00", "%0a", "%C3%A4", "-a"])
def test_hostile_names_are_refused_and_touch_nothing(client: TestClient, settings: Settings, name: str) -> None:
    assert_problem(client.get("/datasets/nobody"), 404)  # the first request of a service makes files of its state
    before = sorted(settings.datasets_dir.parent.rglob("*"))

    put = client.put(f"/datasets/{name}", content=GOOD, headers=CSV)

    assert put.status_code in (404, 422)
    assert_problem(put, put.status_code)
    assert_problem(client.get(f"/datasets/{name}"), 404)
    assert_problem(client.delete(f"/datasets/{name}"), 404)
    until(lambda: sorted(settings.datasets_dir.parent.rglob("*")) == before, "nothing but what was there")


@pytest.mark.slow
def test_full_disk_is_a_507(client: TestClient, settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings.model_copy(update={"datasets_dir": tmp_path, "max_dataset_bytes": 1 << 60}))
    headers = [(b"content-type", b"text/csv"), (b"content-length", b"%d" % (1 << 39))]  # half a terabyte

    answer = asyncio.run(ask(app, "/datasets/huge", (b"x",), headers, "PUT"))

    assert (answer.status, answer.headers["retry-after"]) == (507, "60")
    assert list(tmp_path.iterdir()) == []
