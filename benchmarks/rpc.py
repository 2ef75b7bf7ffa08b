"""Calls of one row over gRPC, beside Triton's Python backend and an empty server of grpcio.

Entry point: `python -m benchmarks.rpc`. h2load (Debian's nghttp2-client) keeps 64 connections busy from a core of its
own; each system has the other one. Triton is measured where the package nvidia-pytriton is installed, in an environment
of its own: `--triton ENVIRONMENT`. Its model is a network of the same size, written with NumPy.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from app.server.rpc import open_inference_pb2 as messages
from app.server.rpc.calls import SERVICE
from benchmarks.cores import available, divide, pinned
from benchmarks.progress import Progress
from benchmarks.store import MODEL, PROJECT, fit
from benchmarks.systems import free_port

CALL, CONNECTIONS, RUNS = f"/{SERVICE}/ModelInfer", 64, 5
ROW = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)
START_DEADLINE_S = 120
CORES = divide(available())
Running = Callable[[Path], AbstractContextManager[int]]
"""Starts a system with a folder for its files; yields its port."""

EMPTY = f"""
import asyncio, grpc, sys

async def main():
    async def answer(message, _context):
        return message

    server = grpc.aio.server()
    handlers = {{"ModelInfer": grpc.unary_unary_rpc_method_handler(answer)}}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("{SERVICE}", handlers),))
    server.add_insecure_port(f"127.0.0.1:{{sys.argv[1]}}")
    await server.start()
    await server.wait_for_termination()

asyncio.run(main())
"""

TRITON_CONFIGURATION = f"""
name: "{MODEL}"
backend: "python"
max_batch_size: 1024
input [{{name: "features" data_type: TYPE_FP32 dims: [4]}}]
output [{{name: "probabilities" data_type: TYPE_FP32 dims: [3]}}]
dynamic_batching {{}}
instance_group [{{kind: KIND_CPU count: 1}}]
"""

TRITON_MODEL = """
import numpy as np
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, _arguments):
        draw = np.random.default_rng(0)
        self.layers = draw.normal(size=(4, 16)).astype("f4"), draw.normal(size=(16, 3)).astype("f4")

    def execute(self, requests):
        rows = [triton.get_input_tensor_by_name(request, "features").as_numpy() for request in requests]
        logits = np.maximum(np.concatenate(rows) @ self.layers[0], 0) @ self.layers[1]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        parts = np.split(odds / odds.sum(axis=1, keepdims=True), np.cumsum([len(part) for part in rows])[:-1])
        return [triton.InferenceResponse([triton.Tensor("probabilities", part)]) for part in parts]
"""


def main() -> None:
    """Measure each system in turns and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rpc", description=__doc__)
    parser.add_argument("--triton", type=Path, help="virtual environment with nvidia-pytriton")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    given = parser.parse_args()
    systems: dict[str, Running] = {"tabserve": tabserve, "grpcio, an empty server": empty}
    if given.triton:
        systems["Triton, Python backend"] = partial(triton, environment=given.triton)
    with tempfile.TemporaryDirectory() as place, Progress() as progress, contextlib.ExitStack() as running:
        progress.say("training the model and starting the systems")
        ports = {name: running.enter_context(start(Path(place))) for name, start in systems.items()}
        found: dict[str, list[float]] = {name: [] for name in ports}
        for run in range(RUNS):
            for name, port in ports.items():
                progress.say(f"run {run + 1} of {RUNS}: {name}")
                found[name].append(calls_per_s(port, Path(place), given.seconds))
    sys.stdout.write("| system | calls/s |\n|---|---|\n")
    for name, values in found.items():
        sys.stdout.write(f"| {name} | {statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f}) |\n")


def infer_request() -> bytes:
    """Return a ModelInferRequest of one row."""
    request = messages.ModelInferRequest(model_name=MODEL, raw_input_contents=[ROW.tobytes()])
    request.inputs.add(name="features", datatype="FP32", shape=ROW.shape)
    data: bytes = request.SerializeToString()
    return data


def calls_per_s(port: int, folder: Path, seconds: int) -> float:
    """Return how many calls a second are answered; a call that fails, fails the measurement."""
    message = infer_request()
    body = folder / "call.bin"
    body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    command = ["h2load", "-c", str(CONNECTIONS), "-m", "1", "-D", str(seconds), "-d", str(body)]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{port}{CALL}"]
    with pinned(CORES.client):
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    rate = re.search(r"finished in \S+, ([\d.]+) req/s", printed)
    if rate is None or " 0 failed, 0 errored, 0 timeout" not in printed:
        raise RuntimeError(f"h2load: {printed}")
    return float(rate[1])


@contextlib.contextmanager
def tabserve(folder: Path) -> Iterator[int]:
    """Run the service with a model of the recipe iris."""
    fit(folder / "models", MODEL, "--seed", "1")
    places = {"TABSERVE_MODELS_DIR": str(folder / "models"), "TABSERVE_STATE_DIR": str(folder / "state")}
    port = free_port()
    options = ["--port", str(free_port()), "--grpc-port", str(port), "--device", "cpu"]
    with _running(port, [sys.executable, "-m", "app", *options], places):
        yield port


@contextlib.contextmanager
def empty(_folder: Path) -> Iterator[int]:
    """Run a server that returns each message as it came: what grpcio itself takes."""
    port = free_port()
    with _running(port, [sys.executable, "-c", EMPTY, str(port)]):
        yield port


@contextlib.contextmanager
def triton(folder: Path, environment: Path) -> Iterator[int]:
    """Run Triton with a model of its Python backend."""
    python = next((environment / "lib").glob("python3*"))
    packages = python / "site-packages"
    server = shutil.copytree(packages / "pytriton" / "tritonserver", folder / "tritonserver")
    stub = server / "python_backend_stubs" / python.name.removeprefix("python") / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends" / "python")
    (folder / "repository" / MODEL / "1").mkdir(parents=True)
    (folder / "repository" / MODEL / "config.pbtxt").write_text(TRITON_CONFIGURATION)
    (folder / "repository" / MODEL / "1" / "model.py").write_text(TRITON_MODEL)
    port = free_port()
    command = [str(server / "bin" / "tritonserver"), "--model-repository", str(folder / "repository")]
    command += ["--backend-directory", str(server / "backends"), "--grpc-address", "127.0.0.1"]
    command += ["--grpc-port", str(port), "--allow-http", "false", "--allow-metrics", "false"]
    places = {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs")}
    with _running(port, command, places | {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}):
        yield port


@contextlib.contextmanager
def _running(port: int, command: list[str], places: dict[str, str] | None = None) -> Iterator[None]:
    """Run a system on its core, from its first answer on."""
    with pinned(CORES.server):
        process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | (places or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        _wait(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as a call is answered."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, contextlib.suppress(grpc.RpcError):
            channel.unary_unary(CALL)(infer_request(), timeout=START_DEADLINE_S)
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not answer (exit code {process.poll()})")


if __name__ == "__main__":
    main()
