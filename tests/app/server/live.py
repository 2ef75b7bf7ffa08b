"""A running service with the model `iris`, and what is sent to it over sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx

from modelstore import ModelRepository
from tests.app.broken import publish_as_means
from tests.app.overflow import Overflows
from tests.app.sockets import Answer, Connection, answered_first, chunked, connected, request
from tests.app.telemetry.figures import in_progress
from tests.fakes import publish, script

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CLASSES = ("setosa", "versicolor", "virginica")
LIVEZ = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Live:
    """A running service with the model `iris`: the mean of four features, version 2 adds a half."""

    client: httpx.Client
    process: Popen[bytes]
    log: Path

    @property
    def url(self) -> httpx.URL:
        return self.client.base_url


def store_in(folder: Path) -> None:
    repository = ModelRepository(folder / "models")
    publish(repository, "iris", features=FEATURES, classes=CLASSES)
    publish(repository, "iris", features=FEATURES, classes=CLASSES, shift=0.5, activate=False)
    overflows = script(Overflows(2, 0.0))
    publish_as_means(repository, overflows)
    publish_as_means(repository, overflows, name="strict", strict=True)


def ask(url: httpx.URL, *packets: bytes) -> Answer:
    """Return the answer to one request on a connection of its own."""
    with connected(url) as connection:
        connection.send(*packets)
        return connection.answer()


def all_wait(live: Live, *connections: Connection, requests: int) -> bool:
    """Return whether so many requests on these connections were seen waiting, before the first answer came."""
    while not answered_first(*connections):
        if in_progress(live.client) == requests + 1:  # and the scrape
            return True
    return False


def rows_body(*rows: tuple[float, ...], **fields: object) -> bytes:
    return json.dumps({"instances": rows, **fields}).encode()


def high(answer: Answer) -> float:
    """Return the probability of the last class of the first row: the mean of its features."""
    assert answer.status == 200, answer
    return float(json.loads(answer.body)["predictions"][0]["probabilities"]["virginica"])


def mean(value: float) -> bytes:
    """Return a body whose answer is `value`."""
    return rows_body((value,) * 4)


def part(kind: str, value: float) -> bytes:
    """Return a request: s short, u uvicorn's way, c chunked, v version in the body, l livez, e and b errors."""
    return {
        "s": request(mean(value)),
        "u": request(mean(value), "/predict/iris?"),
        "c": b"".join(chunked(mean(value))),
        "v": request(rows_body((value,) * 4, version=1)),
        "l": LIVEZ,
        "e": request(b"{}"),
        "b": request(b"nonsense"),
    }[kind]
