"""Trainings through the real app: routes, the real training process, and broken processes.

A process that goes wrong is a package called `training` in the current folder, which `python -m training` prefers.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.api.routes import train
from app.jobs import threads
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository, Overrides
from tests.app.problems import assert_problem
from tests.app.runners import alive, noted
from tests.app.waiting import until
from tests.fakes import publish
from tests.settings import settings_in
from tests.trainings import ended

PROJECT = Path(__file__).resolve().parent.parent.parent.parent.parent

SAYS_AN_EPOCH = """
import json, os, pathlib, signal, sys, time
def say(**event): print(json.dumps(event), flush=True)
def epoch(n): say(event="epoch", epoch=n, epochs=9, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0,
                  elapsed_s=0.1, remaining_s=0.1)
def end(reason, detail, **more): say(event="result", reason=reason, detail=detail, model=sys.argv[2], **more)
if sys.argv[1] == "wait": sys.exit()  # for a data set to check, which no test sends
epoch(1)
pathlib.Path("pid").write_text(str(os.getpid()))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes `python -m training` say one epoch, and then run the given lines."""
    folder = tmp_path / "cwd"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "__init__.py").touch()
    monkeypatch.chdir(folder)

    def write(source: str) -> None:
        (folder / "training" / "__main__.py").write_text(SAYS_AN_EPOCH + source)

    return write


@pytest.fixture
def trainer(settings: Settings) -> Iterator[TestClient]:
    """Return a client of an app with an empty store and the real recipes."""
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of an app with the real recipes and the data set `churn`; tests ask it for what is refused."""
    app = create_app(settings_in(tmp_path_factory.mktemp("stocked")))
    with TestClient(app) as client, pytest.MonkeyPatch.context() as monkeypatch:
        put(client, monkeypatch, "age,town,churned\n1,a,yes\n2,b,no\n")
        yield client


def start(client: TestClient, **fields: object) -> str:
    """Start a training and return where it is shown."""
    answer = client.post("/train", json={"model": "iris", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def pid_of_child(client: TestClient, location: str) -> int:
    """Wait until the child has said its first epoch and noted its id."""
    until(lambda: client.get(location).json()["progress"], "the first epoch")
    return noted()


def test_training_is_accepted_with_its_place_and_listed(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")

    answer = trainer.post(
        "/train", json={"model": "iris", "overrides": {"epochs": 3, "hidden": [4]}, "seed": 5, "activate": "never"}
    )

    shown = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/train/{shown['id']}"
    assert (shown["model"], shown["status"], shown["activate"]) == ("iris", "queued", "never")
    assert shown["overrides"] == {"epochs": 3, "hidden": [4], "seed": 5}
    assert (shown["version"], shown["activated"], shown["started"], shown["finished"]) == (None, False, None, None)
    ended(trainer, answer.headers["location"])
    assert [job["id"] for job in trainer.get("/train").json()["jobs"]] == [shown["id"]]


NAMES = tuple(Overrides.model_fields)

BAD = {
    "no model": ({}, "model"),
    "model is a number": ({"model": 5}, "model"),
    "model is a path": ({"model": "../iris"}, "model"),
    "unknown field": ({"model": "iris", "epochs": 3}, None),
    "unknown override": ({"model": "iris", "overrides": {"secret": 3}}, "overrides"),
    "override mistyped": ({"model": "iris", "overrides": {"lrr": 3}}, "overrides.lrr"),
    **{f"{name} is null": ({"model": "iris", "overrides": {name: None}}, f"overrides.{name}") for name in NAMES},
    "overrides is an array": ({"model": "iris", "overrides": []}, "overrides"),
    "epochs below one": ({"model": "iris", "overrides": {"epochs": 0}}, "overrides.epochs"),
    "epochs is text": ({"model": "iris", "overrides": {"epochs": "3"}}, "overrides.epochs"),
    "epochs is a fraction": ({"model": "iris", "overrides": {"epochs": 3.5}}, "overrides.epochs"),
    "a width is text": ({"model": "iris", "overrides": {"hidden": [8, "8"]}}, "overrides.hidden.1"),
    "rate is zero": ({"model": "iris", "overrides": {"lr": 0}}, "overrides.lr"),
    "optimizer unknown": ({"model": "iris", "overrides": {"optimizer": "sgdx"}}, "overrides.optimizer"),
    "seed is true": ({"model": "iris", "seed": True}, "seed"),
    "seed is negative": ({"model": "iris", "seed": -1}, "seed"),
    "seed differs": ({"model": "iris", "seed": 1, "overrides": {"seed": 2}}, "seed"),
    "activate unknown": ({"model": "iris", "activate": "maybe"}, "activate"),
    "dataset is a path": ({"model": "iris", "dataset": "../iris", "target": "x"}, "dataset"),
    "dataset is empty": ({"model": "iris", "dataset": "", "target": "x"}, "dataset"),
    "target is empty": ({"model": "iris", "dataset": "iris", "target": ""}, "target"),
    "target has a NUL": ({"model": "iris", "dataset": "iris", "target": "a\x00"}, "target"),
    "target without a data set": ({"model": "iris", "target": "x"}, "target"),
    "no features": ({"model": "iris", "dataset": "iris", "target": "x", "features": []}, "features"),
    "features is text": ({"model": "iris", "dataset": "iris", "target": "x", "features": "abc"}, "features"),
    "a feature is a number": ({"model": "iris", "dataset": "iris", "target": "x", "features": [1]}, "features.0"),
    "too many features": ({"model": "iris", "dataset": "iris", "target": "x", "features": ["a"] * 10_001}, "features"),
    "type unknown": (
        {"model": "m", "dataset": "d", "target": "x", "types": {"a": "numeric", "secret": "text"}},
        "types.2",
    ),
    "name of a type is too long": (
        {"model": "m", "dataset": "d", "target": "x", "types": {"s" * 201: "numeric"}},
        "types.1",
    ),
    "types without a data set": ({"model": "iris", "types": {"a": "numeric"}}, "types"),
    "task unknown": ({"model": "m", "dataset": "d", "target": "x", "task": "ranking"}, "task"),
    "split both ways": ({"model": "m", "dataset": "d", "target": "x", "split": {"time": "a", "group": "b"}}, "split"),
    "split mistyped": ({"model": "m", "dataset": "d", "target": "x", "split": {"grup": "b"}}, "split.grup"),
    "rare classes unknown": ({"model": "m", "dataset": "d", "target": "x", "rare_classes": "keep"}, "rare_classes"),
    "strict is text": ({"model": "m", "dataset": "d", "target": "x", "strict": "yes"}, "strict"),
    "optional is text": ({"model": "m", "dataset": "d", "target": "x", "optional": "a"}, "optional"),
    "missing value has a NUL": (
        {"model": "m", "dataset": "d", "target": "x", "missing_values": ["\x00"]},
        "missing_values.0",
    ),
    "workers without a search": ({"model": "iris", "workers": 2}, "workers"),
    "no workers": ({"model": "iris", "workers": 0, "overrides": {"search": 9}}, "workers"),
    "too many workers": ({"model": "iris", "workers": 65, "overrides": {"search": 9}}, "workers"),
    "workers is text": ({"model": "iris", "workers": "2", "overrides": {"search": 9}}, "workers"),
    "timeout is zero": ({"model": "iris", "timeout_s": 0}, "timeout_s"),
    "timeout is text": ({"model": "iris", "timeout_s": "60"}, "timeout_s"),
    "timeout is a year": ({"model": "iris", "timeout_s": 366 * 86400}, "timeout_s"),
    "memory is tiny": ({"model": "iris", "memory_bytes": 1}, "memory_bytes"),
    "memory is endless": ({"model": "iris", "memory_bytes": 10**30}, "memory_bytes"),
    "epochs of a billion": ({"model": "iris", "overrides": {"epochs": 10**9}}, "overrides.epochs"),
    "an array": ([], None),
}


@pytest.mark.parametrize(("body", "feature"), BAD.values(), ids=BAD.keys())
def test_bad_training_request_is_refused_with_the_name_of_the_field(
    steady: TestClient, body: object, feature: str | None
) -> None:
    problem = assert_problem(steady.post("/train", json=body), 422)

    assert problem["errors"][0]["feature"] == feature
    assert steady.get("/train").json() == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"lr": None}, "overrides.lr: must be a number, got null"),
        ({"hidden": None}, "overrides.hidden: must be an array, got null"),
        ({"optimizer": None}, "overrides.optimizer: must be 'sgd', 'adam' or 'adamw', got null"),
        ({"epoch": 3}, "overrides.epoch: is not known, perhaps epochs is meant"),
    ],
)
def test_refusal_of_an_override_says_what_is_expected(steady: TestClient, overrides: object, said: str) -> None:
    problem = assert_problem(steady.post("/train", json={"model": "iris", "overrides": overrides}), 422)

    assert problem["detail"].startswith(said)


@pytest.mark.parametrize("body", [{"model": "iris"}, {"model": "churn", "dataset": "churn", "target": "churned"}])
def test_settings_that_contradict_each_other_are_refused_at_once(stocked: TestClient, body: dict[str, str]) -> None:
    """It was accepted, and failed a second later."""
    problem = assert_problem(
        stocked.post("/train", json={**body, "overrides": {"patience": 5, "validation_fraction": 0}}), 422
    )

    assert problem["errors"][0]["feature"] == "overrides.patience"
    assert problem["detail"].startswith(
        "overrides.patience: needs a validation_fraction above 0 for early stopping, or patience = 0"
    )
    assert stocked.get("/train").json() == {"jobs": [], "next": None}


def test_validation_rows_that_the_defaults_need_cannot_be_taken_away(stocked: TestClient) -> None:
    body = {"model": "churn", "dataset": "churn", "target": "churned", "overrides": {"validation_fraction": 0}}

    problem = assert_problem(stocked.post("/train", json=body), 422)

    assert problem["errors"][0]["feature"] == "overrides.validation_fraction"


def test_number_that_is_not_finite_is_refused(steady: TestClient) -> None:
    body = b'{"model": "iris", "overrides": {"lr": NaN}}'

    answer = steady.post("/train", content=body, headers={"content-type": "application/json"})

    assert assert_problem(answer, 422)["errors"][0]["feature"] == "overrides.lr"


@pytest.mark.slow
def test_the_same_seed_may_be_said_twice(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")

    location = start(trainer, seed=3, overrides={"seed": 3})

    assert ended(trainer, location)["overrides"] == {"seed": 3}


@pytest.mark.parametrize("model", ["nobody", "iris-tutorial"])
def test_only_recipes_named_like_their_model_can_be_trained(steady: TestClient, model: str) -> None:
    problem = assert_problem(steady.post("/train", json={"model": model}), 404)

    assert problem["detail"].endswith("there are recipes for blobs, cancer, diabetes, digits, iris")


@pytest.mark.slow  # the end-to-end test shows the same over a socket
def test_real_training_publishes_a_version_that_serves(settings: Settings, repository: ModelRepository) -> None:
    with TestClient(create_app(settings.model_copy(update={"data_dir": PROJECT / "data"}))) as client:
        location = start(client, overrides={"epochs": 3}, seed=1, activate="always")
        job = ended(client, location)
        answer = client.post("/predict/iris", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
        version = client.get("/models/iris/versions/1").json()

    assert (job["status"], job["reason"], job["version"], job["activated"]) == ("succeeded", "succeeded", 1, True)
    assert (job["progress"]["epoch"], job["progress"]["epochs"]) == (3, 3)
    assert job["gate"]["policy"] == "always"
    assert job["metrics"]["test"]["rows"] == 30
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert set(answer.json()["predictions"][0]["probabilities"]) == {"setosa", "versicolor", "virginica"}
    assert version["lineage"]["job"] == job["id"]
    assert (version["lineage"]["seed"], version["lineage"]["recipe"]["training"]["epochs"]) == (1, 3)
    assert version["metrics"] == job["metrics"]
    assert repository.active("iris") == 1


@pytest.mark.slow  # it trains every learner
@pytest.mark.usefixtures("_forked")
def test_data_without_settings_is_trained_by_auto_whose_leader_board_is_shown(settings: Settings) -> None:
    churn = b"".join((PROJECT / "data" / "churn.csv").read_bytes().splitlines(keepends=True)[:501])
    with TestClient(create_app(settings)) as client:
        assert client.put("/datasets/churn", content=churn).status_code == 201
        body = {"model": "churn", "dataset": "churn", "target": "churned", "overrides": {"budget_s": 2}}
        job = ended(client, client.post("/train", json=body).headers["location"])
        events = client.get(f"/train/{job['id']}/events").text
        model = client.get("/models/churn").json()
        version = client.get("/models/churn/versions/1").json()
        answer = client.post("/predict/churn", json=model["example"]["body"])

    assert (job["status"], job["activated"]) == ("succeeded", True), job
    board = job["leaders"]
    roles = {leader["name"]: leader["role"] for leader in board["leaders"]}
    assert roles["churn"] == "model"
    assert {name for name, role in roles.items() if role == "member"} >= {"linear", "trees"}
    assert {"knn", "logistic_regression", "majority"} <= {name for name, role in roles.items() if role == "baseline"}
    assert sum(leader["weight"] or 0 for leader in board["leaders"]) == pytest.approx(1)
    assert board["conclusion"]
    assert model["leaders"] == version["leaders"] == board
    assert version["lineage"]["recipe"]["training"]["budget_s"] == 2
    assert job["progress"]["event"] == "notice"
    assert "auto: trees, member" in events
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        pytest.param(b"model = ", "broken.toml", id="no TOML", marks=pytest.mark.slow),
        pytest.param(b"\xff\xfe", "broken.toml", id="no text", marks=pytest.mark.slow),
        pytest.param(b'model = "broken"\nepochs = "x"', "broken.toml", id="no recipe", marks=pytest.mark.slow),
    ],
)
def test_broken_recipe_ends_in_a_failure_that_names_the_file(
    settings: Settings, tmp_path: Path, recipe: bytes, said: str
) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "broken.toml").write_bytes(recipe)
    with TestClient(create_app(settings.model_copy(update={"recipes_dir": recipes}))) as client:
        job = ended(client, start(client, model="broken"))

    assert (job["status"], job["reason"], job["version"]) == ("failed", "failed", None)
    assert said in job["detail"]
    assert str(tmp_path) not in job["detail"]


def test_missing_recipe_folder_means_that_nothing_can_be_trained(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings.model_copy(update={"recipes_dir": tmp_path / "nowhere"}))
    with TestClient(app) as client:
        problem = assert_problem(client.post("/train", json={"model": "iris"}), 404)

    assert "recipes for no model" in problem["detail"]


@pytest.mark.slow
def test_killed_child_ends_as_failed_with_the_signal_named(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    location = start(trainer)
    pid = pid_of_child(trainer, location)
    assert trainer.get(location).json()["status"] == "running"

    os.kill(pid, signal.SIGKILL)

    job = ended(trainer, location)
    assert (job["status"], job["reason"]) == ("failed", "failed")
    assert "SIGKILL" in job["detail"]
    assert job["progress"]["epoch"] == 1


WRONG_ENDS = {
    "exit code": ("sys.exit(7)", "exit code 7 before it said how it went"),
    "exception": ("raise SystemError('xqzjv')", "exit code 1 before it said how it went"),
    "success unsaid": ("sys.exit(0)", "exit code 0 before it said how it went"),
    "endless line": ("print('x' * (2 << 20), flush=True); signal.pause()", "could not be run or followed"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "detail"), WRONG_ENDS.values(), ids=WRONG_ENDS.keys())
def test_child_that_ends_without_a_result_has_failed(
    trainer: TestClient, child: Callable[[str], None], source: str, detail: str
) -> None:
    child(source)

    job = ended(trainer, start(trainer))

    assert (job["status"], job["reason"]) == ("failed", "failed")
    assert detail in job["detail"]
    until(lambda: not alive(noted()), "the end of the process")


def test_what_is_no_event_is_passed_over(trainer: TestClient, child: Callable[[str], None]) -> None:
    child(
        "print('Epoch 3: loss 0.1'); print('{}'); print('[' * 9999); sys.stdout.buffer.write(bytes([255, 10]))\n"
        "say(event='notice', message='half way'); epoch(9)\n"
        "end('bad_data', 'row 3 has no class')"
    )

    job = ended(trainer, start(trainer))

    assert (job["status"], job["reason"], job["detail"]) == ("failed", "bad_data", "row 3 has no class")
    assert job["progress"]["epoch"] == 9


@pytest.mark.slow
def test_much_on_standard_error_does_not_hold_up_the_child(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("for n in range(10_000): print('warning', n, file=sys.stderr)\nend('failed', 'enough')")

    job = ended(trainer, start(trainer))

    assert job["detail"] == "enough"
    assert job["log"] == [f"warning {n}" for n in range(9980, 10_000)]


@pytest.mark.slow
def test_child_does_not_inherit_keys(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABSERVE_API_KEY", "xqzjv")
    child("end('failed', ' '.join(f'{k}={v}' for k, v in os.environ.items()))")

    detail = ended(trainer, start(trainer))["detail"]

    assert "PATH=" in detail
    assert "xqzjv" not in detail


def test_child_is_told_what_was_asked_for(
    trainer: TestClient, child: Callable[[str], None], settings: Settings
) -> None:
    child("end('failed', json.dumps(sys.argv[1:]))")

    location = start(trainer, overrides={"hidden": [4, 2]}, activate="never")

    detail = ended(trainer, location)["detail"]
    job_id = location.removeprefix("/train/")
    for part in ('"fit", "iris", "--json-lines"', f'"--job", "{job_id}"', '"--activate", "never"', "[4, 2]"):
        assert part.replace('"', "") in detail.replace('\\"', "").replace('"', "")
    assert str(settings.models_dir) in detail


@pytest.mark.slow
def test_trainings_of_several_models_queue_in_their_order(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("open('order', 'a').write(sys.argv[2] + ' '); pathlib.Path(sys.argv[2]).touch(); signal.pause()")
    models = ["iris", "cancer", "blobs"]
    locations = [start(trainer, model=model) for model in models]
    for place, location in enumerate(locations):
        pid = pid_of_child(trainer, location)
        waiting = [trainer.get(later).json() for later in locations[place + 1 :]]
        assert [job["status"] for job in waiting] == ["queued"] * (2 - place)
        assert [job["queue_position"] for job in waiting] == [1, 2][: 2 - place]
        until(Path(models[place]).exists, "its place in the order")
        Path("pid").unlink()
        os.kill(pid, signal.SIGTERM)
        assert "SIGTERM" in ended(trainer, location)["detail"]

    assert Path("order").read_text().split() == models
    assert [job["model"] for job in trainer.get("/train").json()["jobs"]] == models[::-1]


def test_second_training_of_a_model_is_refused_with_the_id_of_the_first(
    trainer: TestClient, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    location = start(trainer)

    problem = assert_problem(trainer.post("/train", json={"model": "iris"}), 409)

    assert problem["type"] == "urn:tabserve:problem:job-conflict"
    assert location in problem["detail"]


@pytest.mark.slow
def test_list_comes_in_parts_and_by_model_and_status(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('succeeded' if sys.argv[2] == 'iris' else 'failed', 'enough')")
    for model in ("iris", "cancer", "iris", "blobs", "iris"):
        ended(trainer, start(trainer, model=model))

    seen, path = [], "/train?limit=2"
    while path:
        part = trainer.get(path).json()
        seen.append([job["model"] for job in part["jobs"]])
        path = part["next"]

    assert seen == [["iris", "blobs"], ["iris", "cancer"], ["iris"]]
    first = trainer.get("/train?model=iris&status=succeeded&limit=2").json()
    second = trainer.get(first["next"]).json()
    assert [job["number"] for job in first["jobs"] + second["jobs"]] == [5, 3, 1]
    assert second["next"] is None
    assert [job["model"] for job in trainer.get("/train?status=failed").json()["jobs"]] == ["blobs", "cancer"]
    assert trainer.get("/train?model=nobody").json() == {"jobs": [], "next": None}


@pytest.mark.slow
def test_job_and_list_fit_the_described_shape(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    location = start(trainer, overrides={"epochs": 3})
    described = trainer.get("/openapi.json").json()

    for path, shown in (("/train/{job_id}", ended(trainer, location)), ("/train", trainer.get("/train").json())):
        schema = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(shown, {**schema, "components": described["components"]})


HOSTILE_IDS = ["nobody", "..%2f..%2fetc%2fpasswd", "%00", "a" * 5000, "1' OR '1'='1", "%F0%9F%92%A5", "%ff", "A"]


@pytest.mark.parametrize("job_id", HOSTILE_IDS)
def test_id_that_was_never_given_is_not_found(steady: TestClient, job_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/retry")):
        assert_problem(steady.request(method, f"/train/{job_id}{path}"), 404)


def test_waiting_client_gets_the_result(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('bad_data', 'row 3 has no class')")

    answer = trainer.post("/train", json={"model": "iris"}, headers={"prefer": "wait=60"})

    job = answer.json()
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=60")
    assert answer.headers["location"] == f"/train/{job['id']}"
    assert (job["status"], job["reason"]) == ("failed", "bad_data")


@pytest.mark.slow
def test_client_that_waited_in_vain_is_told_where_to_look(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("signal.pause()")

    once = {"idempotency-key": "once"}
    location = trainer.post("/train", json={"model": "iris"}, headers=once).headers["location"]
    pid_of_child(trainer, location)
    answer = trainer.post("/train", json={"model": "iris"}, headers={**once, "prefer": "wait=1"})

    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.headers["location"] == location
    assert "preference-applied" not in answer.headers


def test_x6_client_for_whose_waiting_there_is_no_room_is_answered_at_once(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """X6: as RFC 7240 allows; it is told where to look."""
    child("signal.pause()")
    monkeypatch.setattr(train, "MAX_WAITS", 0)

    answer = trainer.post("/train", json={"model": "iris"}, headers={"prefer": "wait=60"})

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["location"] == f"/train/{answer.json()['id']}"
    assert "preference-applied" not in answer.headers
    trainer.delete(answer.headers["location"])


def test_accepted_training_stays_accepted_when_the_table_cannot_be_looked_at_while_its_client_waits(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 64 clients were told 503 after one such look, and did not learn where their trainings were."""
    child("signal.pause()")
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(trainer.post, "/train", json={"model": "iris"}, headers={"prefer": "wait=30"})
        shown = until(lambda: trainer.get("/train?status=running").json()["jobs"] or None, "the training")
        with monkeypatch.context() as patch:
            patch.setattr(threads, "ANSWER_DEADLINE_S", 0.0)
            answer = coming.result(120)
        location = answer.headers["location"]
        trainer.delete(location)

    assert (answer.status_code, answer.json()["status"], location) == (202, "queued", f"/train/{shown[0]['id']}")
    assert "preference-applied" not in answer.headers


@pytest.mark.slow
def test_request_with_the_same_key_is_the_same_training(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    key = {"idempotency-key": "8e03978e-40d5-43e8"}

    first = trainer.post("/train", json={"model": "iris"}, headers=key)
    ended(trainer, first.headers["location"])
    again = trainer.post("/train", json={"model": "iris"}, headers=key)
    other = trainer.post("/train", json={"model": "iris", "seed": 1}, headers=key)

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert assert_problem(other, 422)["type"] == "urn:tabserve:problem:idempotency-key-reused"
    assert len(trainer.get("/train").json()["jobs"]) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe4"])
def test_key_that_is_none_is_refused(steady: TestClient, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]

    problem = assert_problem(steady.post("/train", content=b'{"model": "iris"}', headers=headers), 422)

    assert problem["errors"][0]["feature"] == "Idempotency-Key"


@pytest.mark.slow
def test_queued_training_is_cancelled_at_once_and_a_running_one_soon(
    trainer: TestClient, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    running, queued = start(trainer), start(trainer, model="cancer")
    pid = pid_of_child(trainer, running)

    at_once, soon = trainer.delete(queued), trainer.delete(running)

    assert (at_once.status_code, at_once.json()["status"], at_once.json()["reason"]) == (200, "cancelled", "cancelled")
    assert (soon.status_code, soon.json()["cancel_requested"]) == (202, True)
    assert ended(trainer, running)["status"] == "cancelled"
    until(lambda: not alive(pid), "the end of the process")
    for location in (running, queued):
        assert assert_problem(trainer.delete(location), 409)["type"] == "urn:tabserve:problem:job-ended"


@pytest.mark.slow  # a real training
def test_training_that_is_ended_early_publishes_what_it_has_learnt(trainer: TestClient, settings: Settings) -> None:
    """A stop in the middle keeps what is done; the process is asked before it can take the signal."""
    location = start(trainer, overrides={"epochs": 100_000, "patience": 0})
    until(lambda: trainer.get(location).json()["status"] == "running", "its start")

    asked = trainer.delete(f"{location}?keep=true")

    assert (asked.status_code, asked.json()["finish_requested"], asked.json()["cancel_requested"]) == (202, True, False)
    job = ended(trainer, location)
    assert (job["status"], job["version"]) == ("succeeded", 1)
    assert [warning for warning in job["warnings"] if "of 100000, as requested" in warning]
    assert ModelRepository(settings.models_dir).find("iris", 1).manifest().lineage.stopped


@pytest.mark.parametrize("query", ["keep=perhaps", "kept=true"])
def test_training_is_not_ended_by_an_unknown_parameter(steady: TestClient, query: str) -> None:
    assert_problem(steady.delete(f"/train/0123456789abcdef?{query}"), 422)


@pytest.mark.slow
def test_warnings_of_a_training_are_shown_with_it_however_it_ended(
    trainer: TestClient, child: Callable[[str], None]
) -> None:
    """They were in the event stream only; one that is killed has no last word to say them with."""
    warn = "say(event='notice', level='warning', message='leakage_suspect'); say(event='notice', message='a step')\n"
    for last in ("end('failed', 'enough', warnings=['leakage_suspect'])", "os.kill(os.getpid(), signal.SIGKILL)"):
        child(warn + last)
        job = ended(trainer, start(trainer))
        assert (job["status"], job["warnings"]) == ("failed", ["leakage_suspect"])

    assert "warnings" not in trainer.get("/train").json()["jobs"][0]


@pytest.mark.parametrize("body", [{}, {"dataset": "stats", "target": "x"}], ids=["recipe", "data set"])
def test_model_that_an_address_would_hide_is_not_trained(steady: TestClient, body: dict[str, str]) -> None:
    """GET /v2/models/stats shows the statistics of all models, never a model of this name."""
    problem = assert_problem(steady.post("/train", json={"model": "stats", **body}), 422)

    assert [error["feature"] for error in problem["errors"]] == ["model"]


@pytest.mark.slow
def test_retry_asks_for_the_same_once_more(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    first = start(trainer, overrides={"epochs": 7}, activate="never", timeout_s=60, memory_bytes=1 << 30)
    before = ended(trainer, first)

    answer = trainer.post(f"{first}/retry", headers={"prefer": "wait=60"})

    again = answer.json()
    assert (answer.status_code, again["retry_of"], again["number"]) == (200, before["id"], 2)
    for name in ("model", "overrides", "activate", "timeout_s", "memory_bytes"):
        assert again[name] == before[name], name


@pytest.mark.slow
def test_decision_reaches_the_training_is_shown_and_repeated(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', ' '.join(sys.argv[-2:]) + sys.stdin.read())")
    costs = [[0, 1, 1], [2, 0, 1], [9, 1, 0]]

    first = ended(trainer, location := start(trainer, decision={"costs": costs}))
    again = trainer.post(f"{location}/retry", headers={"prefer": "wait=60"}).json()

    for job in (first, again):
        assert json.loads(job["detail"][job["detail"].index("{") :]) == {"costs": costs}
        assert job["decision"] == {"costs": costs, "threshold": None, "maximise": None}


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        ({}, "decision"),
        ({"threshold": 0.3, "maximise": "f1"}, "decision"),
        ({"threshold": 0}, "decision.threshold"),
        ({"costs": [[0, 1], [1]]}, "decision.costs"),
        ({"costs": [[0, "1"], [1, 0]]}, "decision.costs.0.1"),
        ({"maximise": "recall"}, "decision.maximise"),
        ({"maximise": "f1"}, "decision.maximise"),  # the recipe has no validation rows
        ({"cost": 1}, "decision.cost"),
    ],
    ids=str,
)
def test_a_decision_that_cannot_be_is_refused_at_once(
    steady: TestClient, decision: dict[str, object], field: str
) -> None:
    problem = assert_problem(steady.post("/train", json={"model": "iris", "decision": decision}), 422)

    assert [error["feature"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "diabetes", "overrides": {"class_weights": "balanced"}}, "overrides.class_weights"),
        ({"model": "diabetes", "decision": {"threshold": 0.3}}, "decision"),
        ({"model": "diabetes", "abstain": {"below": 0.5}}, "abstain"),
        ({"model": "iris", "decision": {"threshold": 0.3}}, "decision"),  # it has three classes
        ({"model": "digits", "overrides": {"filters": [8, 8, 8, 8]}}, "overrides.filters"),
    ],
    ids=str,
)
def test_what_contradicts_the_recipe_is_refused_at_once(
    steady: TestClient, body: dict[str, object], field: str
) -> None:
    """It was accepted, and failed a second later."""
    problem = assert_problem(steady.post("/train", json=body), 422)

    assert [error["feature"] for error in problem["errors"]] == [field]


@pytest.mark.slow
def test_retry_takes_the_columns_that_the_data_set_has_now_unless_the_request_named_them(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made of a request without columns was taken for what the request had said."""
    fake = Path.cwd()
    put(trainer, monkeypatch, "age,town,churned\n1,a,yes\n2,b,no\n")
    monkeypatch.chdir(fake)
    child("end('failed', sys.stdin.read())")
    asked = {"model": "churn", "dataset": "churn", "target": "churned"}
    first, named = start(trainer, **asked), start(trainer, **asked | {"model": "named"}, features=["age"])
    assert (ended(trainer, first)["features"], ended(trainer, named)["features"]) == (None, ["age"])
    assert not_chosen(ended(trainer, named)) == ["town"]

    put(trainer, monkeypatch, "age,visits,town,churned\n1,7,a,yes\n2,8,b,no\n")
    monkeypatch.chdir(fake)

    again = [ended(trainer, trainer.post(f"{job}/retry").headers["location"]) for job in (first, named)]
    assert [job["detail"] for job in again] == ["", '["age"]\n']
    assert [not_chosen(job) for job in again] == [[], ["visits", "town"]]


@pytest.mark.slow
def test_all_columns_that_an_upload_accepts_are_learnt_from_however_long_their_names(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were an argument of the training process, and more than 120,000 bytes of names were a 422."""
    fake = Path.cwd()
    names = [f"{'ü' * 195}{number:05}" for number in range(1000)]
    rows = [",".join([*(str(row) for _ in names), "a", kind]) for row, kind in ((1, "yes"), (2, "no"))]
    put(trainer, monkeypatch, "\n".join([",".join([*names, "town", "churned"]), *rows, ""]))
    monkeypatch.chdir(fake)
    child("import hashlib; end('failed', hashlib.sha256(sys.stdin.buffer.read()).hexdigest())")

    job = ended(trainer, start(trainer, model="churn", dataset="churn", target="churned", features=names))

    assert job["detail"] == hashlib.sha256(f"{json.dumps(names)}\n".encode()).hexdigest()


@pytest.mark.slow
def test_options_of_the_data_reach_the_training_are_shown_and_repeated(
    trainer: TestClient, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Path.cwd()
    put(trainer, monkeypatch, "age;town;churned\n" + "1;a;yes\n2;b;no\n" * 5, delimiter=";")
    monkeypatch.chdir(fake)
    child("end('failed', sys.stdin.read())")
    options = {
        "types": {"age": "categorical"},
        "task": "classification",
        "split": {"group": "town"},
        "rare_classes": "merge",
        "missing_values": ["", "?"],
        "optional": ["age"],
        "strict": True,
        "receipts": True,
    }

    first = ended(trainer, location := start(trainer, model="churn", dataset="churn", target="churned", **options))
    again = ended(trainer, trainer.post(f"{location}/retry").headers["location"])

    for job in (first, again):
        assert json.loads(job["detail"]) == options
        assert {name: job[name] for name in options} == options | {"split": {"time": None, "group": "town"}}
        assert (job["features"], job["left_out"]) == (None, [])
        assert {name: given for name, given in job["dialect"].items() if given is not None} == {"delimiter": ";"}


REFUSED: dict[str, tuple[dict[str, object], int, str | None]] = {
    "data set unknown": ({"dataset": "nobody", "target": "churned"}, 404, None),
    "no target": ({}, 422, "target"),
    "feature is the target": ({"target": "churned", "features": ["churned"]}, 422, "features.0"),
    "text as numbers": ({"target": "churned", "types": {"town": "numeric"}}, 422, "types"),
}


def test_what_the_data_set_cannot_give_is_refused_at_once(stocked: TestClient) -> None:
    for name, (fields, status, place) in REFUSED.items():
        problem = assert_problem(
            stocked.post("/train", json={"model": "leavers", "dataset": "churn", **fields}), status
        )
        assert [fault["feature"] for fault in problem["errors"]] == ([place] if place else []), name
    assert stocked.get("/train").json()["jobs"] == []


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"target": "churn"}, "target", "perhaps 'churned' is meant"),
        ({"target": "churned", "features": ["agee"]}, "features.0", "perhaps 'age' is meant"),
        ({"target": "churned", "types": {"twon": "numeric"}}, "types", "perhaps 'town' is meant"),
        ({"target": "churned", "task": "regression"}, "task", "the target has texts that are no numbers"),
    ],
)
def test_columns_and_options_that_do_not_fit_the_data_set_are_refused_at_once_with_the_nearest_name(
    stocked: TestClient, asked: dict[str, Any], field: str, said: str
) -> None:
    problem = assert_problem(stocked.post("/train", json={"model": "churn", "dataset": "churn", **asked}), 422)

    assert problem["errors"][0]["feature"] == field
    assert said in problem["errors"][0]["problem"]
    assert stocked.get("/train").json()["jobs"] == []


def put(client: TestClient, monkeypatch: pytest.MonkeyPatch, table: str, **options: str) -> None:
    """Send the data set `churn`, which the real `python -m training` looks at."""
    monkeypatch.chdir(PROJECT)
    answer = client.put("/datasets/churn", content=table, params=options, headers={"content-type": "text/csv"})
    assert answer.status_code in (200, 201), answer.text


def not_chosen(job: dict[str, Any]) -> list[str]:
    """Return the columns that a job names as not chosen."""
    return [column["name"] for column in job["left_out"] if column["reason"] == "not_chosen"]


def test_unfinished_training_is_not_repeated(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("signal.pause()")

    assert_problem(trainer.post(f"{start(trainer)}/retry"), 409)


@pytest.mark.slow
@pytest.mark.parametrize("stubborn", [False, True], ids=["polite child", "child that ignores SIGTERM"])
def test_shutdown_interrupts_what_runs_and_keeps_what_waits(
    settings: Settings, child: Callable[[str], None], stubborn: bool
) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    child(f"{ignore}pathlib.Path('ready').touch()\nwhile True: signal.pause()")
    with TestClient(create_app(settings)) as client:
        running, queued = start(client), start(client, model="cancer")
        pid = pid_of_child(client, running)
        until(Path("ready").exists, "the child is ready")

    until(lambda: not alive(pid), "the end of the process")
    child("end('failed', 'enough')")
    with TestClient(create_app(settings)) as client:
        assert client.get(running).json()["reason"] == "interrupted"
        assert ended(client, queued)["detail"] == "enough"


def test_published_version_serves_by_the_time_the_job_has_ended(
    settings: Settings, repository: ModelRepository, child: Callable[[str], None]
) -> None:
    publish(repository)
    publish(repository, shift=0.5, activate=False)
    child(
        "import modelstore as m; m.ModelRepository(pathlib.Path(sys.argv[sys.argv.index('--models-dir') + 1]))"
        ".activate('means', 2)\n"
        "end('succeeded', 'version 2 is active', version=2, activated=True)"
    )
    app = create_app(settings.model_copy(update={"poll_interval_s": 60}))
    with TestClient(app) as client:
        job = ended(client, start(client))
        answer = client.post("/predict/means", json={"instances": [[0, 0]]}).json()

    assert (job["version"], job["activated"], answer["version"]) == (2, True, 2)


@pytest.mark.slow
def test_ended_trainings_are_counted_by_their_reason(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end(pathlib.Path('reason').read_text(), 'so it is')")
    for reason in ("diverged", "bad_data", "diverged"):
        Path("reason").write_text(reason)
        ended(trainer, start(trainer))

    def counted() -> dict[str, float]:
        families = text_string_to_metric_families(trainer.get("/metrics").text)
        samples = [s for family in families for s in family.samples if s.name == "tabserve_train_jobs_total"]
        return {s.labels["reason"]: s.value for s in samples if s.value}

    # a training is counted when its end is in the table, where clients may see it earlier
    until(lambda: counted() == {"diverged": 2, "bad_data": 1}, "all are counted")
