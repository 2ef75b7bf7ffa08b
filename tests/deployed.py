"""The stack for tests, as committed; only addresses and folders are replaced."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.processes import PROJECT, free_port, stop

COMPOSE: Any = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SECRETS = tuple(name.removesuffix("-secrets") for name in COMPOSE["volumes"] if name.endswith("-secrets"))
DEADLINE_S = 120.0
_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")  # compose's defaults for unset variables
_OTHERWISE = {"TABSERVE_DEVICE", "TABSERVE_TRAIN_MEMORY_BYTES"}  # the first is chosen at start, the second is large


def make_secrets(folder: Path, *arguments: str) -> str:
    """Run deploy/make-secrets on folders as compose does on its volumes, and return what it prints."""
    for name in SECRETS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["/bin/sh", str(PROJECT / "deploy" / "make-secrets"), str(folder), *(arguments or ("make",))]
    done = subprocess.run(command, env={"PATH": path}, cwd=PROJECT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment_of(name: str, folder: Path) -> dict[str, str]:
    """Return what compose gives a service of ours; its secrets lie in `folder`/secrets, what it writes in `folder`."""
    given = {key: _DEFAULT.sub(r"\1", str(value)) for key, value in COMPOSE["services"][name]["environment"].items()}
    places = {"/run/tabserve": f"{folder}/secrets/service", "/srv": str(folder)}
    for place, here in places.items():
        given = {key: value.replace(place, here) for key, value in given.items()}
    return {key: value for key, value in given.items() if key not in _OTHERWISE}


@contextlib.contextmanager
def nginx(
    folder: Path,
    upstream: str = "http://hosts",
    *,
    conf: str = "nginx.conf",
    resolver: str = "127.0.0.1",
    hosts: Sequence[str] = (),
) -> Iterator[str]:
    """Run nginx as deploy/nginx says, before `upstream` instead of the compose services; yields its address.

    With hosts, hosts.conf names these. Started by root it stays root, so that it may write into folders of tests.
    """
    port = free_port()
    shutil.copytree(PROJECT / "deploy" / "nginx", folder / "nginx")
    changes = {
        "/tmp/": f"{folder}/nginx/",  # noqa: S108 - in the container
        "path /bodies;": f"path {folder}/nginx/bodies;",
        "http://api:8000": upstream,
        "http://trainer:8000": upstream,
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "listen 3000;": f"listen 127.0.0.1:{free_port()};",
        "resolver 127.0.0.11 ": f"resolver {resolver} ",
    }
    if hosts:
        changes["include common.conf;"] = "include common.conf;\n    include hosts.conf;"
        changes |= {f"server 10.0.0.{number}:": f"server {host}:" for number, host in enumerate(hosts, 1)}
    replace_in(folder / "nginx", changes)
    command = ["nginx", "-g", "daemon off; user root;", "-c", str(folder / "nginx" / conf)]
    with running(command, folder / "nginx.log", port):
        yield f"http://127.0.0.1:{port}"


def access_log(folder: Path) -> list[str]:
    """Return the records that nginx has written whole; the last one may be on its way."""
    lines = (folder / "nginx.log").read_text().splitlines(keepends=True)
    return [line for line in lines if line.startswith("{") and line.endswith("\n")]


def replace_in(folder: Path, changes: Mapping[str, str]) -> None:
    """Replace the keys of `changes` with their values in every file of a folder."""
    for file in folder.iterdir():
        text = file.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        file.write_text(text)


@contextlib.contextmanager
def running(command: list[str], log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it begins when something listens on the port."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        stop(process)


def listens(port: int) -> bool:
    """Return whether a port of the loopback address accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(client: httpx.Client, path: str, wanted: str, **arguments: str) -> httpx.Response:
    """Return the first response whose text contains `wanted`."""
    deadline = time.monotonic() + DEADLINE_S
    while wanted not in (answer := client.get(path, params=arguments)).text:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    return answer
