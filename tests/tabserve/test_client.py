"""The client asks the real app, behind a path prefix."""

from __future__ import annotations

import http.server
import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from modelstore import ModelRepository
from tabserve import (
    Client,
    ServiceError,
    ServiceUnreachable,
    Training,
    TrainingFailed,
    WrongInput,
    files,
    steps,
    tables,
)
from tests.fakes import publish
from tests.processes import free_port, service
from tests.tabserve.conftest import ToApp

TYPED = pd.DataFrame(
    {
        "id": [object(), object()],
        "age": pd.Series([30, "44"], dtype=object),
        "plan": pd.Series([2.0, np.nan]),
        "paid": pd.Series([True, False], dtype=object),
        "since": pd.to_datetime(["2020-02-01", "2021-03-04"]),
        "sum": ["$1,000.50", "7"],
    }
).set_axis(["first", "second"])


def test_a_frame_comes_back_with_its_index(ours: Client) -> None:
    frame = pd.DataFrame({"right": [0.5, 1.0], "left": [0.0, 1.0]}, index=[7, 3])
    found = ours.predict("means", frame)

    assert list(found.index) == [7, 3]
    assert found["label"].tolist() == ["low", "high"]
    assert found[["probability_low", "probability_high"]].to_numpy().tolist() == [[0.75, 0.25], [0, 1]]
    assert len(ours.predict("means", frame[:0])) == 0


@pytest.mark.parametrize("arrow", [True, False])
def test_a_frame_without_rows_has_the_columns_of_answers(
    ours: Client, monkeypatch: pytest.MonkeyPatch, *, arrow: bool
) -> None:
    monkeypatch.setattr(tables, "has", lambda package: arrow)
    answers, none = ours.predict("typed", TYPED), ours.predict("typed", TYPED.iloc[:0])

    assert len(none) == 0
    assert none.dtypes.to_dict() == answers.dtypes.to_dict()


def test_columns_of_objects_texts_and_gaps_are_accepted(ours: Client) -> None:
    mixed = ours.predict("typed", TYPED)
    as_arrow = ours.predict("typed", TYPED.assign(sum=[1000.5, 7]))
    rows = [{"age": 30, "plan": "2", "paid": True, "since": "2020-02-01", "sum": 1000.5}]
    rows += [{"age": 44, "plan": None, "paid": False, "since": "2021-03-04", "sum": 7}]

    as_rows = ours.predict("typed", rows)

    assert mixed.equals(as_arrow)
    assert list(mixed.index) == ["first", "second"]
    assert [np.float32(row["probability"]) for row in as_rows] == mixed["probability"].tolist()
    assert ours.predict("typed", rows[0]) == as_rows[0]


def test_receipts_take_their_labels_once(ours: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST_LABELS", 2)
    frame = pd.DataFrame({"left": [0.0, 1.0, 0.25], "right": [0.5, 1.0, 0.25]})
    found = ours.predict("means", frame, receipts=True)

    told = ours.feedback(found["receipt"], ["low", "high", "midle"])

    assert (told["taken"], told["repeated"], told["refused"]) == (2, 0, 1)
    assert [error["row"] for error in told["errors"]] == [2]
    assert ours.feedback(found["receipt"][:2], np.array(["low", "high"]))["repeated"] == 2


def test_ids_of_the_caller_take_labels_too(ours: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST_LABELS", 2)
    frame = pd.DataFrame({"order": [17.0, np.nan, 18.0], "left": [0.0, 1.0, 0.25], "right": [0.5, 1.0, 0.25]})
    found = ours.predict("means", frame, id_column="order")
    assert found["receipt"].str.len().tolist() == [52] * 3
    typed = ours.predict("typed", TYPED.assign(id=["a", "b"]), id_column="id")  # the model ignores this column
    assert len(typed) == 2
    ours.predict("means", [{"left": 0.5, "right": 1, "order": "c"}], id_column="order")

    told = ours.feedback(ids=np.array([17, 18, 19]), labels=["low", "low", "low"], model="means")

    assert (told["taken"], [(error["row"], error["feature"]) for error in told["errors"]]) == (2, [(2, "id")])
    assert ours.feedback(ids=["a", "b", "c"], labels=["no", "yes", "low"])["taken"] == 3
    with pytest.raises(WrongInput, match="receipts or ids, one of the two"):
        ours.feedback(labels=["low"])
    with pytest.raises(WrongInput, match="expected a label for each id, got 1 for 2"):
        ours.feedback(ids=["a", "b"], labels=["low"])


def test_files_go_in_and_out_in_blocks_that_one_version_answers(
    ours: Client, carried: ToApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PIECE_CHARACTERS", 1 << 10)
    x = np.random.default_rng(0).random((500, 2)).astype(np.float32)
    path = tmp_path / "rows.csv"
    pd.DataFrame(x, columns=["left", "right"]).to_csv(path, index=False)

    written = ours.predict("means", path, to=str(tmp_path / "out.csv"))
    as_frame = ours.predict("means", str(path))
    stream = io.BytesIO()
    ours.predict("means", path, to=stream, version=2)

    out = (tmp_path / "out.csv").read_bytes()
    assert written == len(out)
    assert out.count(b"label") == 1
    assert np.allclose(as_frame["probability_high"], x.mean(axis=1))
    assert len(stream.getvalue().splitlines()) == 501
    posts = [request.url.path for request in carried.sent if request.method == "POST"]
    assert len(posts) > 20
    assert set(posts) == {"/ml/predict/means/versions/1", "/ml/predict/means/versions/2"}


def test_answers_may_replace_their_rows_and_a_failure_leaves_the_file_that_was_there(
    ours: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PIECE_CHARACTERS", 64)
    path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    path.write_text("left,right\n" + "0.5,0.5\n" * 60)
    bad = tmp_path / "bad.csv"
    bad.write_text(path.read_text() + "0.5,oops\n")
    out.write_text("before")
    out.chmod(0o640)

    with pytest.raises(ServiceError, match="column 'right'"):
        ours.predict("means", bad, to=out)
    assert out.read_text() == "before"
    ours.predict("means", path, to=out)
    ours.predict("means", path, to=path)
    assert path.read_text() == out.read_text()
    assert len(out.read_text().splitlines()) == 61
    assert out.stat().st_mode & 0o777 == 0o640
    assert not list(tmp_path.glob("*.part"))


def test_a_place_for_the_answers_is_refused_where_nothing_would_be_written(ours: Client, tmp_path: Path) -> None:
    for rows in (pd.DataFrame({"left": [1.0], "right": [1.0]}), [[1, 1]], {"left": 1, "right": 1}):
        with pytest.raises(WrongInput, match="to: is for the answers to a file"):
            ours.predict("means", rows, to=tmp_path / "out.csv")


def test_errors_name_the_row_of_the_whole_table(ours: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_CHARACTERS", 64)
    path = tmp_path / "rows.csv"
    path.write_text("left,right\n" + "0.5,0.5\n" * 60 + "0.5,oops\n")

    with pytest.raises(ServiceError) as caught:
        ours.predict("means", path)
    assert (caught.value.status, caught.value.kind) == (422, "invalid-input")
    assert [(problem.row, problem.feature) for problem in caught.value.problems] == [(62, "right")]
    with pytest.raises(ServiceError, match="column 'right' is missing"):
        ours.predict("means", pd.DataFrame({"left": [1.0], "rihgt": [1.0]}))
    with pytest.raises(WrongInput, match="a Series is no table"):
        ours.predict("means", pd.Series([1.0, 2.0]))


def test_options_travel_in_the_query(ours: Client, carried: ToApp) -> None:
    assert ours.predict("means", {"left": 0.6, "right": 0.6}, threshold=0.7)["label"] == "low"
    assert ours.predict("means", [[0.6, 0.6]], decision="argmax", strict=False)[0]["label"] == "high"
    with pytest.raises(ServiceError, match="outside"):
        ours.predict("means", [[9, 9]], strict=True)
    assert carried.sent[3].url.query == b"strict=false&decision=argmax"


class Restarting(httpx.MockTransport):
    """Refuse connections for a time, and then send the result of a training."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if time.monotonic() < self._until:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, text='id: 1\ndata: {"event": "result"}\n\n')


def test_events_go_on_after_a_service_was_restarted() -> None:
    with Client("http://there", transport=Restarting(0.3)) as client:
        assert list(Training(client, {"id": "j"}).events()) == [{"event": "result"}]


class Busy(http.server.BaseHTTPRequestHandler):
    """Answers 503 twice, then what was sent."""

    refusals = 2

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = type(self)
        kind.refusals -= 1
        self.send_response(503 if kind.refusals >= 0 else 200)
        self.send_header("retry-after", "0")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_busy_service_is_asked_again_and_a_missing_one_is_named(busy: str) -> None:
    with Client(busy) as client:
        assert client.train("m", wait=False).job == {"model": "m"}
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ServiceUnreachable, match="no answer from"):
        client.put_dataset("x", pd.DataFrame({"a": [1]}))


def customers(rows: int = 300) -> pd.DataFrame:
    draw = np.random.default_rng(1)
    years, calls = draw.uniform(0, 10, rows), draw.uniform(0, 10, rows)
    return pd.DataFrame({"years": years, "calls": calls, "churned": np.where(calls > years, "yes", "no")})


@pytest.mark.slow
def test_a_table_becomes_predictions_over_a_real_socket(tmp_path: Path) -> None:
    frame = customers()
    frame.to_csv(tmp_path / "churn.csv", index=False)
    with service(tmp_path, ready=False) as (http, _), Client(str(http.base_url)) as client:
        training = client.train("churn", frame, target="churned", overrides={"learner": "linear"})
        assert (training.status, training.version, training.activated) == ("succeeded", 1, True)
        assert [event["event"] for event in training.events()][-1] == "result"
        assert [job.id for job in client.trainings("churn")] == [training.id]
        assert client.training(training.id).version == 1
        found = client.predict("churn", frame)
        assert (found["label"] == frame["churned"]).mean() > 0.95

        again = client.train("other", tmp_path / "churn.csv", "churned", budget_s=30, wait=False, activate="never")
        assert again.cancel().refresh().status in ("running", "cancelled", "queued")
        with pytest.raises(TrainingFailed, match="cancelled"):
            again.wait()
        assert {each["name"] for each in client.datasets()} == {"churn", "other"}
        client.delete_dataset("other")
        with pytest.raises(ServiceError, match="churned"):
            client.train("churn", dataset="churn", target="chruned")


@pytest.mark.slow
def test_a_file_larger_than_the_memory_that_is_allowed_is_predicted(tmp_path: Path) -> None:
    """60 MB of rows and 150 MB of answers, with 60 MB more than the client has when it begins."""
    publish(ModelRepository(tmp_path / "models"))
    path = tmp_path / "rows.csv"
    block = "".join(f"0.{place:06d},0.{999_999 - place:06d}\n" for place in range(100_000))
    with path.open("w") as file:
        file.write("left,right\n")
        for _ in range(34):
            file.write(block)
    with service(tmp_path) as (http, _):
        program = PREDICTS.format(url=str(http.base_url), path=str(path), out=str(tmp_path / "out.csv"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").read_bytes().count(b"\n") == 3_400_001


PREDICTS = """
import resource, tabserve
with tabserve.Client({url!r}) as client:
    client.predict("means", [[0.5, 0.5]])
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, -1))
    client.predict("means", {path!r}, to={out!r})
"""
