"""What requests can make the service do: files opened, addresses called, programs run.

One service runs under strace the whole time (S-02, S-03, S-07); tests/test_architecture.py reads the sources.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import pickle  # to send data that must never be unpickled
import random
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelstore import ModelRepository
from tests.app.sockets import Answer, Connection, request
from tests.attacks.test_scopes import ROUTES
from tests.fakes import publish
from tests.faults.scenes import children_of, rounds, start
from tests.processes import PROJECT, service
from tests.promises import Measured
from tests.trainings import ended

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; scripts/packages does it"),
]

SECRET = "canary-51c0"  # content of a file that must not be read
SYSTEM = (
    "/proc/",
    "/sys/",
    "/dev/",
    "/usr/",
    "/lib",
    "/etc/ld.so",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/ssl/",
)


@dataclass(frozen=True)
class Watched:
    """A service without keys, so that no request is refused for lack of one, and its system calls."""

    client: httpx.Client
    folder: Path
    trace: Path

    @property
    def canary(self) -> Path:
        return self.folder / "canary.txt"

    def calls(self, after: int = 0) -> list[str]:
        return self.trace.read_text().splitlines()[after:]

    def called(self, after: int) -> list[str]:
        """Return the addresses to which the service connected or tried to."""
        return [call for call in self.calls(after) if re.search(r"\b(connect|sendto)\(.*AF_INET", call)]

    def opened_elsewhere(self, after: int) -> list[str]:
        """Return the paths that were opened outside the service's folders, or that hold the secret."""
        own = (f"{self.folder}/", f"{PROJECT}/", f"{sys.prefix}/", f"{sys.base_prefix}/", *SYSTEM)
        paths = [re.findall(r'"([^"]*)"', call)[0] for call in self.calls(after) if re.search(r"\bopen(at)?\(AT", call)]
        absolute = [os.path.normpath(PROJECT / path) + "/" * path.endswith("/") for path in paths]
        return [path for path in absolute if not f"{path}/".startswith(own) or path == str(self.canary)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    publish(ModelRepository(folder / "models"))
    (folder / "canary.txt").write_text(SECRET)
    trace = folder / "trace"
    calls = "trace=connect,sendto,open,openat,openat2,execve,execveat"
    prefix = ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", calls, "-o", str(trace))
    with service(folder, prefix=prefix) as (client, process):
        yield Watched(client, folder, trace)
        for served in children_of(process.pid):  # strace ends with it, and handles no signal itself
            os.kill(served, signal.SIGTERM)


class Sender:
    """A client that reconnects when a refusal closes its connection."""

    def __init__(self, base_url: httpx.URL) -> None:
        self._base_url = base_url
        self._connection = Connection(base_url)

    def ask(self, message: bytes) -> Answer:
        self._connection.send(message)
        answer = self._connection.answer()
        if answer.headers.get("connection") == "close":
            self.close()
            self._connection = Connection(self._base_url)
        return answer

    def close(self) -> None:
        self._connection.socket.close()


@pytest.fixture
def sender(watched: Watched) -> Iterator[Sender]:
    sender = Sender(watched.client.base_url)
    yield sender
    sender.close()


UPWARDS = (
    "..",
    "%2e%2e",
    ".%2e",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%ef%bc%8e%ef%bc%8e",
    "....",
    "..%00",
    "..;",
    "%2e%2e%20",
)
SLASHES = ("/", "%2f", "%252f", "%5c", "%255c", "%c0%af", "%ef%bc%8f")
TARGETS = ("canary.txt", "models", "state%2fjobs.sqlite3", "etc%2fpasswd", "proc%2fself%2fenviron")
ODD = (
    *(
        "%00",
        "means%00",
        "%23",
        "means%23",
        "%3f",
        "%2fetc%2fpasswd",
        "file:%2f%2f%2fetc%2fpasswd",
        "%5c%5chost%5cshare",
    ),
    *("means.", "means%20", "%20means", "MEANS", "-means", "_means", "means%0a", "means%0d%0ax:%20y", "%e2%80%aemeans"),
    *(
        "%f0%9f%90%9f",
        "%ff%fe",
        "%ed%a0%80",
        "me%cc%81ans",
        "%ef%bd%8d",
        "%d9%a1",
        "%ef%bc%91",
        "1.0",
        "01",
        "-1",
        "+1",
        "1e0",
    ),
    *(
        "1_0",
        "0x1",
        "0",
        "1%00",
        "9" * 10,
        "9" * 400,
        "a" * 65,
        "a" * 255,
        "a" * 256,
        "a" * 4096,
        "%61" * 4096,
        "~",
        "$HOME",
    ),
    *(
        "%24(id)",
        "%60id%60",
        "%7cid",
        "%26%26id",
        "%2a",
        "%7b0.__class__%7d",
        "%25s%25n",
        "..",
        ".",
        "%2e",
        "%2e%2e",
        "con",
        "nul:",
    ),
)


def names() -> list[str]:
    """Return names as spelled in a request: parent folders in every spelling, and unusual characters."""
    ways = itertools.product(UPWARDS, SLASHES, (1, 2, 4), TARGETS)
    return [(up + slash) * depth + target for up, slash, depth, target in ways] + list(ODD)


def named_routes() -> list[tuple[str, str]]:
    """Return method and path of every route with a name, once for each name, which is `HERE`; others are good."""
    good = {"model": "means", "version": "1", "job_id": "0" * 16, "name": "rows", "asset": "x.js"}
    good |= {"file": "console.css", "plot": "loss"}
    found = []
    for route in ROUTES:
        method, path = route.split(" ")
        for name in re.findall(r"\{(\w+)\}", path):
            here = path.replace(f"{{{name}}}", "HERE")
            found.append((method, re.sub(r"\{(\w+)\}", lambda other: good[other[1]], here)))
    return found


def test_no_name_leads_out_of_the_folders(watched: Watched, sender: Sender, measured: Measured) -> None:
    """S-02: each name in each position of each route; in the short form, in every fourth of them."""
    before, tried, routes, apart = len(watched.calls()), names(), named_routes(), rounds(4, 1)
    for at, (method, path) in enumerate(routes):
        for name in tried[at % apart :: apart]:
            answer = sender.ask(request(b"", path.replace("HERE", name), {}, method=method))
            assert 400 <= answer.status < 500, (method, path, name, answer.status)
            assert SECRET.encode() not in answer.body
            assert b"root:" not in answer.body

    assert len(tried) >= 1000
    assert len(routes) > 20
    assert watched.opened_elsewhere(before) == []
    assert watched.called(before) == []
    measured(
        "S-02",
        f"{len(tried)} names, each at {len(routes) // apart} places or more of all routes: all 4xx, 0 files opened "
        "elsewhere, 0 calls",
    )


SHELL = (
    "; touch {0}",
    "$(touch {0})",
    "`touch {0}`",
    "| tee {0}",
    "&& touch {0}",
    "\n touch {0}",
    "' ; touch {0} #",
    "--help",
    "-m pdb",
)
HUGE = (10**400, -(10**30), 1e308, 2**64, 2**63, -1, 0.5, "1", True, [1], {"a": 1})
FIELDS = (
    "command",
    "entrypoint",
    "env",
    "script",
    "module",
    "__class__",
    "url",
    "path",
    "args",
    "device",
    "MODEL",
    "model ",
)


def train_bodies(canary: str) -> list[bytes]:
    """Return 500 different bodies that are almost a training: each has one thing that it may not have."""
    chance = random.Random(3)
    good = {"model": "iris"}
    shell = [text.format(canary) for text in SHELL]
    bad: set[str] = set()
    while len(bad) < 500:
        text = chance.choice(shell) + str(chance.randrange(1000))
        body = chance.choice(
            (
                {"model": text},
                {**good, chance.choice(FIELDS): text},
                {**good, "overrides": {chance.choice(FIELDS): text}},
                {**good, "overrides": {chance.choice(("epochs", "lr", "batch_size")): text}},
                {**good, "overrides": {"hidden": [chance.choice((0, -1, 10**9, text))] * chance.randint(1, 50)}},
                {**good, "seed": chance.choice(HUGE[:7]), "activate": text},
                {**good, "timeout_s": chance.choice((-1, 0, 10**400, text))},
                {**good, "memory_bytes": chance.choice((*HUGE[:2], *HUGE[6:], text))},
                {**good, "dataset": text, "target": "label"},
                {**good, "features": [text], "env": {text: text}},
            )
        )
        bad.add(json.dumps(body))
    return [body.encode() for body in sorted(bad)]


def test_nothing_in_a_training_request_is_run(watched: Watched, sender: Sender, measured: Measured) -> None:
    """S-03: 500 bodies start nothing; a training that is accepted starts this Python once; long: three of them."""
    before = len(watched.calls())
    made = watched.folder / "made"
    bodies = train_bodies(str(made))
    statuses = {sender.ask(request(body, "/train")).status for body in bodies}
    assert statuses == {422}
    assert run(watched, before) == []

    trainings = rounds(1, 3)
    for _ in range(trainings):
        assert ended(watched.client, start(watched.client, overrides={"epochs": 1}))["reason"] == "succeeded"
    programs = run(watched, before)
    assert {program for _, program in programs} == {sys.executable}
    # each process is first app/jobs/process/sandbox.py, which limits itself, and then the training
    assert sorted(Counter(process for process, _ in programs).values()) == [2] * trainings
    assert not made.exists()
    measured(
        "S-03",
        f"{len(bodies)} train bodies with commands: all 422, 0 processes; {trainings} trainings: one process each, "
        "0 shells",
    )


def run(watched: Watched, after: int) -> list[tuple[str, str]]:
    """Return the programs that each process ran or tried to run, but that which waits for the next small upload."""
    made = [call for call in watched.calls(after) if '"training", "wait"]' not in call]
    calls = [re.match(r'(\d+) +execve(?:at)?\((?:AT_FDCWD, )?"([^"]*)"', call) for call in made]
    return [(call[1], call[2]) for call in calls if call]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self._file), "w")


TYPES = (
    *("application/json", "application/octet-stream", "application/vnd.bentoml+pickle", "application/x-pickle"),
    *("application/python-pickle", "text/csv", "application/x-ndjson", "application/vnd.apache.arrow.stream"),
)
TAKE_BODIES = tuple(("POST", path) for path in ("/predict", "/predict/means", "/train", "/v2/models/means/infer"))


def test_pickled_objects_are_not_read(watched: Watched, sender: Sender, measured: Measured) -> None:
    """S-07: by any binary protocol of pickle, raw and in base64, as any type, to every route that takes a body."""
    before, made = len(watched.calls()), watched.folder / "unpickled"
    pickled = [pickle.dumps(Payload(made), protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    bodies = [form for body in pickled for form in (body, base64.b64encode(body))]
    # an upload is read by a process of its own, which takes seconds to start, and no other type makes a difference
    uploads = itertools.product((pickled[-1], bodies[-1]), TYPES[:: rounds(4, 1)], [("PUT", "/datasets/rows")])
    tries = [*itertools.product(bodies, TYPES, TAKE_BODIES), *uploads]
    for body, type_, (method, path) in tries:
        answer = sender.ask(request(body, path, {"content-type": type_}, method=method))
        assert answer.status in {400, 415, 422}, (body, type_, path, answer)

    assert len(tries) >= 200
    assert not made.exists()
    assert watched.opened_elsewhere(before) == []
    assert watched.called(before) == []
    measured("S-07", f"{len(tries)} pickled bodies: all 400, 415 or 422, none was read")
