"""The app as an object: made without side effects, alone or beside others, closed cleanly."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.api.standstill import Standstill
from app.errors import ConfigurationError
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish


def settings_in(folder: Path) -> Settings:
    return Settings(models_dir=folder / "models", state_dir=folder / "state", device="cpu", poll_interval_s=0.05)


def test_nothing_is_opened_before_the_app_starts(tmp_path: Path) -> None:
    threads = threading.active_count()

    create_app(settings_in(tmp_path))

    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


def test_background_task_that_fails_is_logged_and_the_service_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_standstill: Standstill) -> None:
        raise OSError("broken")

    monkeypatch.setattr(Standstill, "keep_watch", fail)
    publish(ModelRepository(tmp_path / "models"))
    with TestClient(create_app(settings_in(tmp_path))) as client:
        until(lambda: "the background task 'standstill' failed" in caplog.text, "the failure is logged")
        assert client.post("/predict/means", json={"instances": [[0, 0]]}).status_code == 200
        publish(ModelRepository(tmp_path / "models"), "others")
        until(lambda: client.get("/models/others").status_code == 200, "the store watcher still runs")


def test_device_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        create_app(settings_in(tmp_path).model_copy(update={"device": "cuda:99"}))


@pytest.mark.slow
def test_two_apps_in_one_process_do_not_meet(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    publish(ModelRepository(first / "models"))
    publish(ModelRepository(second / "models"), "others", shift=0.5)
    with TestClient(create_app(settings_in(first))) as one, TestClient(create_app(settings_in(second))) as two:
        answer = one.post("/predict/means", json={"instances": [[0, 0]] * 3})
        missing = two.post("/predict/means", json={"instances": [[0, 0]]})
        names = [[m["name"] for m in client.get("/models").json()["models"]] for client in (one, two)]
        paths = [client.get("/openapi.json").json()["paths"] for client in (one, two)]
        figures = [client.get("/metrics").text for client in (one, two)]

    assert (answer.status_code, missing.status_code) == (200, 404)
    assert names == [["means"], ["others"]]
    assert ["/predict/means" in each for each in paths] == [True, False]
    assert ['tabserve_inference_rows_total{model="means",version="1"} 3.0' in each for each in figures] == [True, False]
    assert ['code="404"' in each for each in figures] == [False, True]


@pytest.mark.slow
def test_two_apps_may_share_a_store_and_follow_each_other(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    publish(repository, shift=0.5, activate=False)
    other = settings.model_copy(update={"state_dir": settings.state_dir / "other"})
    with TestClient(create_app(settings)) as one, TestClient(create_app(other)) as two:
        assert one.post("/models/means/versions/2/activate").status_code == 200

        until(lambda: two.get("/models/means").json()["serving_version"] == 2, "the other app follows")


@pytest.mark.slow
def test_app_closes_cleanly_and_may_be_started_again(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    before = set(threading.enumerate())
    for _ in range(3):
        with TestClient(create_app(settings_in(tmp_path))) as client:
            assert client.post("/predict/means", json={"instances": [[0, 0]]}).status_code == 200
        assert [thread.name for thread in threading.enumerate() if thread not in before and not thread.daemon] == []
    assert not list((tmp_path / "state").glob("*-wal"))


def test_stop_is_not_held_up_by_a_slow_look_at_the_store(tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"poll_interval_s": 60})

    with TestClient(create_app(settings)) as client:
        assert client.get("/livez").status_code == 200
