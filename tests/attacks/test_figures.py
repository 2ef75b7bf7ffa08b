"""Invented names make no figures grow, and a scrape stays quick and small (S-22)."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.security.keys import Scope
from tests.app.sockets import GOOD, Connection, request
from tests.attacks.conftest import Guarded
from tests.attacks.test_scopes import ROUTES, VALUES
from tests.promises import Measured, allowed

pytestmark = pytest.mark.slow

FIRST, REQUESTS, CLIENTS = 1000, 10_000, 4
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "PURGE")
TYPES = ("application/json", "text/csv", "text/plain")
BODIES = (GOOD, b"", b'{"instances": [[1, 2]], "model": "nobody"}')
MAX_GROWTH, MAX_BYTES = 5, 256 << 10
P99_S = allowed(0.05)


def scrape(guarded: Guarded) -> str:
    return guarded.client.get("/metrics", headers=guarded.bearer(Scope.METRICS)).text


def series(text: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return all series of a scrape; the parser accepts the same input as Prometheus."""
    return {(s.name, frozenset(s.labels.items())) for f in text_string_to_metric_families(text) for s in f.samples}


def junk(seed: int, guarded: Guarded) -> Iterator[bytes]:
    """Yield requests forever, each with a unique name, path, method, user agent and body."""
    draw = random.Random(seed)
    paths = sorted({route.partition(" ")[2] for route in ROUTES})
    keys = [guarded.bearer(Scope.PREDICT), guarded.bearer(Scope.METRICS), {"authorization": "Bearer no"}, {}, {}]
    while True:
        word = "".join(draw.choices('abcdefghijklmnopqrstuvwxyz0123456789-_.%\\"{}', k=12))
        path = draw.choice([*paths, f"/{word}", f"/{word}/{word}"])
        for parameter in VALUES:
            path = path.replace(parameter, draw.choice([word, str(draw.randrange(10**6))]))
        content_type = draw.choice([*TYPES, word])
        headers = {"user-agent": word, "content-type": content_type, **draw.choice(keys)}
        body = draw.choice([*BODIES, b'{"instances": [[1, 2]], "model": "%b"}' % word.encode()])
        yield request(body, path, headers, method=draw.choice(METHODS))


def every_answer(guarded: Guarded) -> Iterator[bytes]:
    """Yield requests for every route and method with every status that clients without a key can cause."""
    unknown, odd = dict.fromkeys(VALUES, "unknown"), dict.fromkeys(VALUES, "999999")
    paths = sorted({route.partition(" ")[2] for route in ROUTES})
    keys: tuple[dict[str, str], ...] = (guarded.bearer(Scope.PREDICT), guarded.bearer(Scope.METRICS), {})
    for path, key, values in itertools.product(paths, keys, (VALUES, unknown, odd, {**VALUES, "{version}": "x"})):
        named = path
        for parameter, value in values.items():
            named = named.replace(parameter, value)
        for method in METHODS:
            for kind in TYPES if method == "POST" else TYPES[:1]:
                for body in BODIES if method == "POST" else BODIES[:1]:
                    yield request(body, named, {"content-type": kind, **key}, method=method)


def send(guarded: Guarded, requests: Iterable[bytes]) -> None:
    """Send requests on a connection, and on a new one when it was closed."""
    connection: Connection | None = None
    for raw in requests:
        connection = connection or Connection(guarded.url)
        connection.send(raw)
        answer = connection.answer()
        assert answer.status < 500, (raw, answer)
        if answer.headers.get("connection") == "close":
            connection.socket.close()
            connection = None
    if connection:
        connection.socket.close()


@contextlib.contextmanager
def scrapes(guarded: Guarded) -> Iterator[list[float]]:
    """Scrape repeatedly during the block; yield the durations in seconds."""
    took_s: list[float] = []
    done = threading.Event()

    def keep() -> None:
        while not done.wait(0.05):
            began = time.perf_counter()
            assert scrape(guarded)
            took_s.append(time.perf_counter() - began)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield took_s
    finally:
        done.set()
        thread.join()


@pytest.mark.alone
def test_ten_thousand_inventions_of_strangers_make_no_series(guarded: Guarded, measured: Measured) -> None:
    send(guarded, every_answer(guarded))
    send(guarded, itertools.islice(junk(0, guarded), FIRST))
    before = series(scrape(guarded))
    threads = [
        threading.Thread(target=send, args=(guarded, itertools.islice(junk(seed, guarded), REQUESTS // CLIENTS)))
        for seed in range(1, CLIENTS + 1)
    ]

    with scrapes(guarded) as took_s:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    text = scrape(guarded)
    grown, size, p99_s = series(text) - before, len(text.encode()), statistics.quantiles(took_s, n=100)[98]
    measured(
        "S-22",
        f"{REQUESTS:,} inventions of strangers: {len(grown)} new series of {len(before):,}, {size >> 10} KiB, "
        f"{len(took_s)} scrapes meanwhile, 99 % within {p99_s * 1e3:.0f} ms",
    )
    assert len(grown) <= MAX_GROWTH, sorted(map(str, grown))
    assert size <= MAX_BYTES
    assert p99_s <= P99_S


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed; scripts/packages does it")
def test_promtool_finds_nothing_wrong_after_traffic_of_all_kinds(guarded: Guarded) -> None:
    send(guarded, itertools.islice(every_answer(guarded), 0, None, 37))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape(guarded).encode(), capture_output=True, timeout=300, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_figures_are_shown_to_nobody_without_their_key(guarded: Guarded) -> None:
    assert guarded.client.get("/metrics").status_code == 401
    for scope in set(Scope) - {Scope.METRICS}:
        assert guarded.client.get("/metrics", headers=guarded.bearer(scope)).status_code == 403
    assert "tabserve_queue_rows" in scrape(guarded)
