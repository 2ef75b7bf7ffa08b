"""Trainings through the real app: the routes, the real training process, and processes that go wrong.

A process that goes wrong is a package called `training` in the current folder, which `python -m training` prefers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app import jobs
from app.jobstore import JobStatus, JobStore
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.orphans import leave_jobs_behind
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.fakes import publish

PROJECT = Path(__file__).resolve().parent.parent.parent
REAL_DEADLINE_S = 100.0
FINAL = {"succeeded", "failed", "interrupted"}

SAYS_AN_EPOCH = """
import json, os, pathlib, signal, sys, time
def say(**event): print(json.dumps(event), flush=True)
def epoch(n): say(event="epoch", epoch=n, epochs=9, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0,
                  elapsed_s=0.1, remaining_s=0.1)
def end(reason, detail, **more): say(event="result", reason=reason, detail=detail, model="iris", **more)
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


def start(client: TestClient, **fields: object) -> str:
    """Start a training and return where it is shown."""
    answer = client.post("/train", json={"model": "iris", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def ended(client: TestClient, location: str, deadline_s: float = 20.0) -> dict[str, Any]:
    """Wait for the end of a training and return what is shown of it."""

    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = client.get(location).json()
        return shown if shown["status"] in FINAL else None

    return until(look, "the end of the training", deadline_s)


def pid_of_child(client: TestClient, location: str) -> int:
    """Wait until the child has said its first epoch and noted its id."""
    until(lambda: client.get(location).json()["progress"], "the first epoch")
    return until(lambda: Path("pid").exists() and int(Path("pid").read_text() or 0), "the id of the child")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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


BAD = {
    "no model": ({}, "model"),
    "model is a number": ({"model": 5}, "model"),
    "model is a path": ({"model": "../iris"}, "model"),
    "unknown field": ({"model": "iris", "epochs": 3}, None),
    "unknown override": ({"model": "iris", "overrides": {"secret": 3}}, "overrides"),
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
    "an array": ([], None),
}


@pytest.mark.parametrize(("body", "feature"), BAD.values(), ids=BAD.keys())
def test_bad_training_request_is_refused_with_the_name_of_the_field(
    steady: TestClient, body: object, feature: str | None
) -> None:
    problem = assert_problem(steady.post("/train", json=body), 422)

    assert problem["errors"][0]["feature"] == feature
    assert steady.get("/train").json() == {"jobs": []}


def test_number_that_is_not_finite_is_refused(steady: TestClient) -> None:
    body = b'{"model": "iris", "overrides": {"lr": NaN}}'

    answer = steady.post("/train", content=body, headers={"content-type": "application/json"})

    assert assert_problem(answer, 422)["errors"][0]["feature"] == "overrides.lr"


def test_the_same_seed_may_be_said_twice(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")

    location = start(trainer, seed=3, overrides={"seed": 3})

    assert ended(trainer, location)["overrides"] == {"seed": 3}


@pytest.mark.parametrize("model", ["nobody", "iris-tutorial"])
def test_only_recipes_named_like_their_model_can_be_trained(steady: TestClient, model: str) -> None:
    problem = assert_problem(steady.post("/train", json={"model": model}), 404)

    assert problem["detail"].endswith("there are recipes for blobs, cancer, iris")


@pytest.mark.slow  # the end-to-end test shows the same over a socket
def test_real_training_publishes_a_version_that_serves(settings: Settings, repository: ModelRepository) -> None:
    with TestClient(create_app(settings.model_copy(update={"data_dir": PROJECT / "data"}))) as client:
        location = start(client, overrides={"epochs": 3}, seed=1, activate="always")
        job = ended(client, location, REAL_DEADLINE_S)
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


@pytest.mark.parametrize(
    ("recipe", "said"),
    [(b"model = ", "broken.toml"), (b"\xff\xfe", "broken.toml"), (b'model = "broken"\nepochs = "x"', "broken.toml")],
    ids=["no TOML", "no text", "no recipe"],
)
def test_broken_recipe_ends_in_a_failure_that_names_the_file(
    settings: Settings, tmp_path: Path, recipe: bytes, said: str
) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "broken.toml").write_bytes(recipe)
    with TestClient(create_app(settings.model_copy(update={"recipes_dir": recipes}))) as client:
        job = ended(client, start(client, model="broken"), REAL_DEADLINE_S)

    assert (job["status"], job["reason"], job["version"]) == ("failed", "failed", None)
    assert said in job["detail"]
    assert str(tmp_path) not in job["detail"]


def test_missing_recipe_folder_means_that_nothing_can_be_trained(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings.model_copy(update={"recipes_dir": tmp_path / "nowhere"}))
    with TestClient(app) as client:
        problem = assert_problem(client.post("/train", json={"model": "iris"}), 404)

    assert "recipes for no model" in problem["detail"]


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


@pytest.mark.parametrize(("source", "detail"), WRONG_ENDS.values(), ids=WRONG_ENDS.keys())
def test_child_that_ends_without_a_result_has_failed(
    trainer: TestClient, child: Callable[[str], None], source: str, detail: str
) -> None:
    child(source)

    job = ended(trainer, start(trainer))

    assert (job["status"], job["reason"]) == ("failed", "failed")
    assert detail in job["detail"]
    assert not alive(int(Path("pid").read_text()))


def test_what_is_no_event_is_passed_over(trainer: TestClient, child: Callable[[str], None]) -> None:
    child(
        "print('Epoch 3: loss 0.1'); print('{}'); print('[' * 9999); sys.stdout.buffer.write(bytes([255, 10]))\n"
        "say(event='notice', message='half way'); epoch(9)\n"
        "end('bad_data', 'row 3 has no class')"
    )

    job = ended(trainer, start(trainer))

    assert (job["status"], job["reason"], job["detail"]) == ("failed", "bad_data", "row 3 has no class")
    assert job["progress"]["epoch"] == 9


def test_much_on_standard_error_does_not_hold_up_the_child(
    trainer: TestClient, child: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    child("print('warning ' * 50_000, file=sys.stderr); end('failed', 'enough')")

    assert ended(trainer, start(trainer))["detail"] == "enough"
    assert len(capfd.readouterr().err) > 100_000


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


def test_trainings_run_one_after_the_other_in_their_order(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("open('order', 'a').write(sys.argv[sys.argv.index('--job') + 1] + ' '); signal.pause()")
    locations = [start(trainer) for _ in range(3)]
    for place, location in enumerate(locations):
        pid = pid_of_child(trainer, location)
        waiting = [trainer.get(later).json()["status"] for later in locations[place + 1 :]]
        assert waiting == ["queued"] * (2 - place)
        Path("pid").unlink()
        os.kill(pid, signal.SIGTERM)
        assert "SIGTERM" in ended(trainer, location)["detail"]

    assert Path("order").read_text().split() == [location.removeprefix("/train/") for location in locations]
    assert [f"/train/{job['id']}" for job in trainer.get("/train?limit=2").json()["jobs"]] == locations[:0:-1]


@pytest.mark.parametrize("stubborn", [False, True], ids=["polite child", "child that ignores SIGTERM"])
def test_shutdown_ends_the_job_as_interrupted_and_leaves_no_child(
    settings: Settings, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    monkeypatch.setattr(jobs, "STOP_GRACE_S", 0.2)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    child(f"{ignore}pathlib.Path('ready').touch()\nwhile True: signal.pause()")
    with TestClient(create_app(settings)) as client:
        running, queued = start(client), start(client)
        pid = pid_of_child(client, running)
        until(Path("ready").exists, "the child is ready")

    assert not alive(pid)
    store = JobStore(settings.state_dir)
    store.open()
    for location in (running, queued):
        job = store.get(location.removeprefix("/train/"))
        assert (job.status, job.reason, job.detail) == (
            JobStatus.INTERRUPTED,
            "interrupted",
            "the service was stopped",
        )
    store.close()


def test_jobs_that_a_killed_process_left_are_interrupted_at_the_next_start(settings: Settings) -> None:
    leave_jobs_behind(settings.state_dir)

    with TestClient(create_app(settings)) as client:
        listed = client.get("/train").json()["jobs"]

    assert [(job["id"], job["status"]) for job in listed] == [
        ("done", "succeeded"),
        ("running", "interrupted"),
        ("queued", "interrupted"),
    ]


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


def test_ended_trainings_are_counted_by_their_reason(trainer: TestClient, child: Callable[[str], None]) -> None:
    child("end(pathlib.Path('reason').read_text(), 'so it is')")
    for reason in ("diverged", "bad_data", "diverged"):
        Path("reason").write_text(reason)
        ended(trainer, start(trainer))

    families = text_string_to_metric_families(trainer.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == "tabserve_train_jobs_total"]
    assert {s.labels["reason"]: s.value for s in samples} == {"diverged": 2, "bad_data": 1}
