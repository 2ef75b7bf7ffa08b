"""Closed loop: N connections, each sends its next request after the answer; uses wrk.

Without wrk, the client of this package is used.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.clients import Address, Connection, Failed, pool
from benchmarks.requests import Request

_MINIMUM_REQUESTS = 3
_WRK_LEAST_S = 0.75  # it knows whole seconds only
_LUA = """
wrk.method = "%(method)s"
%(headers)s
local file = io.open("%(body)s", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\\nresult {"requests":%%d,"us":%%d,"p50":%%d,"p99":%%d,"bad":%%d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), bad))
end
"""


@dataclass(frozen=True)
class Load:
    """What a closed loop gave.

    Attributes:
        client_busy: part of the time that the client worked; near 1, it is the client that is measured.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    client_busy: float


def closed_loop(address: Address, request: Request, connections: int, seconds: float, *, wrk: bool = True) -> Load:
    """Ask for so many seconds.

    Args:
        address: of the server.
        request: what to ask.
        connections: how many at once.
        seconds: at least; own client only: at least three requests per connection are answered.
        wrk: use wrk if it is there and the time is not too short for it; for large bodies our own client is better,
            which does not stop in the middle of an answer.

    Raises:
        Failed: if anything but 200 was answered.
    """
    if wrk and seconds >= _WRK_LEAST_S and shutil.which("wrk"):
        return _wrk(address, request, connections, max(1, round(seconds)))
    return _run_own_client(address, request, connections, seconds)


def _run_own_client(address: Address, request: Request, connections: int, seconds: float) -> Load:
    wire, started = request.wire(), dict[Connection, float]()
    latencies: list[float] = []
    with pool(address, connections) as clients:
        done: list[Connection] = []
        began = last = time.perf_counter()
        while True:
            now = time.perf_counter()
            enough = now - began >= seconds and len(latencies) >= _MINIMUM_REQUESTS * connections
            while clients.free and not enough:
                started[clients.send(wire)] = time.perf_counter()
            if len(clients.free) == connections:
                break
            clients.poll(done)
            if done:
                last = time.perf_counter()
                for connection in done:
                    latencies.append(last - started[connection])
                    check(connection)
                done.clear()
        busy = 1 - clients.idle_s / (last - began)
    p50, p99 = np.percentile(latencies, (50, 99)) * 1e3
    return Load(len(latencies) / (last - began), float(p50), float(p99), busy)


def check(connection: Connection) -> None:
    """Raise unless the connection was answered 200.

    Raises:
        Failed: with the status.
    """
    if connection.reply is None or connection.reply.status != 200:
        raise Failed(f"answered {connection.reply.status if connection.reply else 'nothing'}")


def _wrk(address: Address, request: Request, connections: int, seconds: int) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        body, lua = Path(folder, "body"), Path(folder, "request.lua")
        body.write_bytes(request.body)
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items())
        lua.write_text(_LUA % {"method": request.method, "headers": headers, "body": body}, "utf-8")
        url = f"http://{address[0]}:{address[1]}{request.path}"
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(lua), url]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(output.partition("\nresult ")[2].splitlines()[0])
    if result["bad"]:
        raise Failed(f"{result['bad']} of {result['requests']} requests failed")
    elapsed_s = result["us"] / 1e6
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load(result["requests"] / elapsed_s, result["p50"] / 1e3, result["p99"] / 1e3, cpu_s / elapsed_s)
