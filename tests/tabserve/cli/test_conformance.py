"""`tabserve conformance` against real servers: ours, and MLServer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from modelstore import ModelRepository
from tabserve.cli.commands import app
from tabserve.cli.conformance import CheckedServer, find
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import PROJECT, free_port, service

MLSERVER = os.environ.get("MLSERVER")
MEANS = """
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
class Means(MLModel):
    async def load(self):
        return True
    async def predict(self, payload):
        mean = NumpyCodec.decode_input(payload.inputs[0]).mean(axis=1, dtype=np.float32)
        outputs = [NumpyCodec.encode_output("mean", mean), NumpyCodec.encode_output("half", mean / 2)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
"""


@pytest.mark.slow
def test_our_service_keeps_every_rule_and_the_report_says_so(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    port, report = free_port(), tmp_path / "report.json"
    with service(tmp_path, "--grpc-port", str(port)) as (client, _):
        asked = ["conformance", str(client.base_url), "--grpc", f"127.0.0.1:{port}", "--report", str(report)]
        done = CliRunner().invoke(app, asked)
        assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "29 kept, 0 broken, 0 skipped")
        assert {each["outcome"] for each in json.loads(report.read_text())["findings"]} == {"kept"}
        wrong = CliRunner().invoke(app, ["conformance", str(client.base_url), "--model", "nobody"])
        assert wrong.exit_code == 1
        assert "broken   model ready" in wrong.stdout


def test_server_that_does_not_answer_is_named() -> None:
    done = CliRunner().invoke(app, ["conformance", f"http://127.0.0.1:{free_port()}"])

    assert (done.exit_code, "no answer from http://127.0.0.1" in done.stderr) == (1, True)


def test_server_that_sends_control_characters_changes_no_terminal() -> None:
    class Hostile(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            if not self.rfile.readline():
                return
            body = b"\x1b]0;owned\x07" * 5
            self.wfile.write(b"HTTP/1.1 500 Bad\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = CliRunner().invoke(app, ["conformance", url, "--model", "x"])
        listed = CliRunner().invoke(app, ["conformance", url])
        server.shutdown()

    assert (done.exit_code, "owned" in done.stdout, "\x1b" in done.stdout) == (1, True, False)
    assert (listed.exit_code, "--model" in listed.stderr) == (1, True)


@pytest.fixture
def mlserver(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Run MLServer with a model; yields its address and that of gRPC."""
    http, grpc, metrics = free_port(), free_port(), free_port()
    described = {"datatype": "FP32", "shape": [-1, 2]}
    model = {
        "name": "means",
        "implementation": "means.Means",
        "platform": "python",
        "versions": ["1"],
        "parameters": {"version": "1"},
        "inputs": [{"name": "features", **described}],
    }
    settings = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics, "host": "127.0.0.1"}
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    (tmp_path / "means").mkdir()
    (tmp_path / "means" / "means.py").write_text(MEANS)
    (tmp_path / "means" / "model-settings.json").write_text(json.dumps(model))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "means")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(MLSERVER), "start", "."], cwd=tmp_path, env=environment, stdout=log, stderr=log)

        def ready() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{http}/v2/models/means/ready", timeout=300).is_success
            except httpx.TransportError:
                return False

        try:
            until(lambda: ready() or None, "MLServer")
            yield f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}"
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not MLSERVER, reason="MLSERVER names no mlserver to run")
def test_deviations_of_mlserver_are_those_of_the_page(mlserver: tuple[str, str]) -> None:
    page = (PROJECT / "docs" / "clients.md").read_text()
    section = page[page.index("MLServer 1.7.1") : page.index("### KServe")]
    told = re.findall(r"^\| `([^`]+)` \| ", section, re.MULTILINE)

    broken = [each.name for each in find(CheckedServer(mlserver[0], "means", mlserver[1])) if each.outcome == "broken"]

    assert broken == told
