"""The whole path over a socket: train, predict, retrain, swap, roll back, restart."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelstore import ModelRepository
from tests.app.waiting import until
from tests.processes import service
from tests.promises import allowed
from tests.trainings import ended

pytestmark = pytest.mark.slow

SETOSA = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
SWAP_DEADLINE_S = allowed(2)
RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "iris.toml"


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """Return a folder with the iris recipe alone, so that the first start trains one model."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "iris.toml").write_bytes(RECIPE.read_bytes())
    return folder


class Caller:
    """A thread that predicts a hundred times a second or less, and stores every response."""

    def __init__(self, base_url: httpx.URL) -> None:
        self._base_url = base_url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: list[tuple[int, int | None]] = []

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._base_url, timeout=300) as client:
            while not self._stopped.is_set():
                answer = client.post("/predict/iris", json=SETOSA)
                self.answers.append((answer.status_code, answer.json().get("version")))
                self._stopped.wait(0.01)  # else it takes a core from the trainings


def probabilities(answer: Any) -> dict[str, float]:
    found: dict[str, float] = answer["predictions"][0]["probabilities"]
    return found


def wait_for_version(client: httpx.Client, version: int, caller: Caller) -> None:
    """Wait until a version answers within the promised seconds, and until the other caller has seen it too."""
    deadline = time.monotonic() + SWAP_DEADLINE_S
    while time.monotonic() < deadline:
        if client.post("/predict/iris", json=SETOSA).json()["version"] == version:
            until(lambda: (200, version) in caller.answers[-1:], f"an answer of version {version} to the other caller")
            return
    raise AssertionError(f"version {version} did not serve within {SWAP_DEADLINE_S} s")


def test_train_predict_retrain_swap_roll_back_restart(tmp_path: Path, recipes: Path) -> None:
    environment = {"TABSERVE_RECIPES_DIR": str(recipes)}
    with service(tmp_path, "--demo", environment=environment) as (client, _):
        first = client.post("/predict/iris", json=SETOSA).json()
        assert (first["version"], first["predictions"][0]["label"]) == (1, "setosa")

        with Caller(client.base_url) as caller:
            wait_for_version(client, 1, caller)
            wanted = {"model": "iris", "overrides": {"hidden": [8], "epochs": 60}, "seed": 5, "activate": "always"}
            started = client.post("/train", json=wanted)
            assert started.status_code == 202
            job = ended(client, started.headers["location"])
            assert (job["status"], job["version"], job["activated"]) == ("succeeded", 2, True)
            wait_for_version(client, 2, caller)

            worse = client.post("/train", json={"model": "iris", "overrides": {"epochs": 1}, "activate": "if_better"})
            job = ended(client, worse.headers["location"])
            assert (job["version"], job["activated"], job["gate"]["passed"]) == (3, False, False)
            assert client.get("/models/iris").json()["active_version"] == 2

            rolled_back = client.post("/models/iris/versions/1/activate")
            assert rolled_back.json()["serving_version"] == 1
            wait_for_version(client, 1, caller)
            again = client.post("/predict/iris", json=SETOSA).json()
            # alone and in a batch with the caller's rows sums run in another order: float32's last digit may differ
            assert probabilities(again) == pytest.approx(probabilities(first), abs=1e-6)

            ModelRepository(tmp_path / "models").activate("iris", 2)  # like `python -m training activate iris 2`
            wait_for_version(client, 2, caller)

    assert {status for status, _ in caller.answers} == {200}
    versions = [version for _, version in caller.answers]
    assert [v for v, before in zip(versions, [None, *versions], strict=False) if v != before] == [1, 2, 1, 2]

    with service(tmp_path, environment=environment) as (client, _):
        assert client.post("/predict/iris", json=SETOSA).json()["version"] == 2
        assert [job["version"] for job in client.get("/train").json()["jobs"]] == [3, 2]
