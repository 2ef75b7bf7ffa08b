"""Following a training by server-sent events, through the real app and a process that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.routes import events
from app.main import create_app
from app.settings import Settings
from tests.app.problems import assert_problem

SAYS = """
import json, pathlib, sys
def say(**event): print(json.dumps(event), flush=True)
for n in (1, 2, 3):
    say(event="epoch", epoch=n, epochs=3, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0, elapsed_s=0.1,
        remaining_s=0.1)
say(event="notice", message="two\\nlines, and \\u2028 one that JavaScript takes for an end")
say(event="result", reason="diverged", detail="the loss is not finite", model="iris")
"""


@pytest.fixture
def trainer(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of an app whose trainings say three epochs, a notice and the end."""
    package = tmp_path / "cwd" / "training"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SAYS)
    monkeypatch.chdir(tmp_path / "cwd")
    with TestClient(create_app(settings)) as client:
        yield client


def start(client: TestClient) -> str:
    answer = client.post("/train", json={"model": "iris"})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


Event = tuple[int, str, dict[str, Any]]


def parsed(stream: str) -> list[Event]:
    """Read a stream as the HTML standard has it: events end with an empty line, fields with a line feed."""
    found = []
    for block in stream.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def followed(trainer: TestClient) -> tuple[TestClient, str, list[Event]]:
    """Return a client, where its training is, and what it saw while following that from the start."""
    location = start(trainer)
    answer = trainer.get(f"{location}/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return trainer, location, parsed(answer.text)


def test_stream_has_every_event_and_ends_with_the_result(followed: tuple[TestClient, str, list[Event]]) -> None:
    client, location, seen = followed

    assert [number for number, _, _ in seen] == [1, 2, 3, 4, 5]
    assert [kind for _, kind, _ in seen] == ["epoch", "epoch", "epoch", "notice", "result"]
    assert [data["epoch"] for _, kind, data in seen if kind == "epoch"] == [1, 2, 3]
    assert seen[3][2]["message"].startswith("two\nlines")
    assert seen[-1][2]["reason"] == client.get(location).json()["reason"] == "diverged"


@pytest.mark.parametrize(("last", "numbers"), [("0", [1, 2, 3, 4, 5]), ("3", [4, 5]), ("x", [1, 2, 3, 4, 5])])
def test_client_that_comes_again_gets_what_it_missed(
    followed: tuple[TestClient, str, list[Event]], last: str, numbers: list[int]
) -> None:
    client, location, _ = followed

    again = client.get(f"{location}/events", headers={"last-event-id": last})

    assert [number for number, _, _ in parsed(again.text)] == numbers


@pytest.mark.parametrize("last", ["5", "999999"])
def test_client_that_has_seen_the_end_is_told_to_stay_away(
    followed: tuple[TestClient, str, list[Event]], last: str
) -> None:
    client, location, _ = followed

    again = client.get(f"{location}/events", headers={"last-event-id": last})

    assert (again.status_code, again.content) == (204, b"")


def test_too_many_streams_are_sent_away(trainer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 0)

    problem = assert_problem(trainer.get(f"{start(trainer)}/events"), 503)

    assert problem["type"] == "urn:tabserve:problem:too-many-streams"
