"""The compared systems, as real processes on loopback.

It must not know how they are measured.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import Address, Failed, ask
from benchmarks.cores import pinned
from benchmarks.requests import Request, json_rows
from benchmarks.store import PROJECT, Store

CONSTANT, FASTAPI, ASGI, ASGI_ONNX, TABSERVE = "constant", "fastapi", "asgi", "asgi onnx", "tabserve"
MODULES = {
    CONSTANT: "benchmarks.baselines.constant",
    FASTAPI: "benchmarks.baselines.fastapi_service",
    ASGI: "benchmarks.baselines.asgi_service",
    ASGI_ONNX: "benchmarks.baselines.asgi_onnx_service",
    TABSERVE: "app",
}
Running = contextlib.AbstractContextManager["Server"]
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0


class DidNotStart(Exception):
    """A system ended or did not answer in time; carries the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running system."""

    name: str
    process: subprocess.Popen[bytes]
    address: Address
    log: Path

    def pids(self) -> list[int]:
        """Return the process and its children, all generations."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            with contextlib.suppress(OSError):
                found += map(int, children.read_text("ascii").split())
        return found


def free_port() -> int:
    """Return a TCP port of the loopback address that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(name: str, store: Store, work: Path, cores: frozenset[int], arguments: Sequence[str] = ()) -> Server:
    """Start a system on its cores and return at once; `wait` waits until it answers.

    Args:
        name: one of `MODULES`.
        store: the store that it serves.
        work: a folder for its state, its log and the constant's answers.
        cores: where it may run.
        arguments: for its command line.
    """
    port = free_port()
    log = work / f"{name}-{port}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TABSERVE_", "BENCH_"))}
    environment |= {
        "BENCH_PORT": str(port),
        "BENCH_STORE": str(store.folder),
        "BENCH_ANSWERS": str(work),
        "TABSERVE_PORT": str(port),
        "TABSERVE_MODELS_DIR": str(store.folder),
        "TABSERVE_STATE_DIR": str(work / f"state-{port}"),
        "TABSERVE_DATA_DIR": str(PROJECT / "data"),
        "TABSERVE_DEVICE": "cpu",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    with log.open("wb") as output, pinned(cores):
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[name], *arguments],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Server(name, process, ("127.0.0.1", port), log)


def wait(server: Server, request: Request) -> None:
    """Return as soon as a system answers this request with 200.

    Raises:
        DidNotStart: with the end of its log.
    """
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError, Failed):
            if ask(server.address, request).status == 200:
                return
        time.sleep(0.005)
    raise DidNotStart(f"{server.name} (exit code {server.process.poll()}): {server.log.read_text()[-600:]}")


def stop(server: Server) -> None:
    """End a system politely, then for certain."""
    if server.process.poll() is None:
        server.process.terminate()
        try:
            server.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@contextlib.contextmanager
def running(
    name: str,
    store: Store,
    work: Path,
    cores: frozenset[int],
    *,
    arguments: Sequence[str] = (),
    ready: Request | None = None,
) -> Iterator[Server]:
    """Start a system, see `start`, wait until it answers `ready` or else a prediction, and stop it in the end.

    Raises:
        DidNotStart: with the end of its log.
    """
    server = start(name, store, work, cores, arguments)
    try:
        wait(server, ready or first_request(name, store))
        yield server
    finally:
        stop(server)


def first_request(name: str, store: Store) -> Request:
    """Return the request that tells whether a system serves."""
    return json_rows(store.rows(1), query="?rows=1" if name == CONSTANT else "")


def pss_mb(pids: Sequence[int]) -> float | None:
    """Return the memory of processes in MB, pages shared by several counted in parts; None where Linux is not."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        except OSError:
            return None
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def resident_mb(pid: int) -> float | None:
    """Return the resident memory of a process in MB; None where Linux is not."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float | None:
    """Return the resident memory of a process at its highest since `reset_peak`; None where Linux is not."""
    return _status_mb(pid, "VmHWM:")


def reset_peak(pid: int) -> None:
    """Let `peak_mb` count from here, where it can."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def _status_mb(pid: int, field: str) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))
