"""Real service processes for tests: started, awaited until ready, stopped without rest."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from tests.preloaded import ForkedService, forked_trainings

START_DEADLINE_S = 300.0
STOP_DEADLINE_S = 300.0
PROJECT = Path(__file__).resolve().parent.parent
PIP_INSTALL = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for `verify` of clients without TLS: the default takes 30 ms to make


def free_port() -> int:
    """Return a TCP port of the loopback address that nothing listens on.

    The port is outside the range that the system gives to connections, so no test in another process takes it before
    the caller's process listens on it.
    """
    while True:
        port = 12_000 + secrets.randbelow(20_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def service(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    ready: bool = True,
    address: tuple[str, int] | None = None,
    anew: bool = False,
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Run `python -m app` on a free port with store and state under `folder`; yields a client and the process.

    It is forked from a process that has made its imports, unless it is wanted `anew`, with a prefix, with several
    workers, which an empty process starts, or with variables that the interpreter or its libraries may read. One that
    is forked has its trainings forked too, and the process that waits for the next data set, unless it gets a `cwd`.
    """
    host, port = address or ("127.0.0.1", free_port())
    settings = {
        "TABSERVE_HOST": host,
        "TABSERVE_PORT": str(port),
        "TABSERVE_MODELS_DIR": str(folder / "models"),
        "TABSERVE_STATE_DIR": str(folder / "state"),
        "TABSERVE_DATASETS_DIR": str(folder / "datasets"),
        "TABSERVE_DATA_DIR": str(PROJECT / "data"),
        "TABSERVE_DEVICE": "cpu",
        "TABSERVE_POLL_INTERVAL_S": "0.2",
        "TABSERVE_DRAIN_S": "0",
        "TABSERVE_TRAIN_NICENESS": "0",  # else trainings and checks of data wait for the tests beside them
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TABSERVE_")}
    log = folder / "service.log"
    env = {**inherited, **settings, **(environment or {})}
    others = {name for name in environment or () if not name.startswith("TABSERVE_")}
    anew = bool(anew or prefix or others or "TABSERVE_WORKERS" in env or "--workers" in arguments)
    with log.open("ab") as output:
        process = (
            subprocess.Popen(
                [*prefix, sys.executable, "-m", "app", *arguments],
                cwd=cwd or PROJECT,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            if anew
            else ForkedService(arguments, cwd or forked_trainings(), env, output)
        )
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=300, verify=PLAIN) as client:
            wait_until_ready(client, process, log, ready=ready)
            yield client, process
    finally:
        stop(process)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path, *, ready: bool) -> None:
    """Return as soon as /readyz (or, without models, /livez) answers 200; fail with the log if it never does."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz" if ready else "/livez").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the service did not become ready (exit code {process.poll()}):\n{log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop a process by SIGTERM, then by SIGKILL, and return its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
