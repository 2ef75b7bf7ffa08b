"""Spans are sent to a collector, whatever that does, if the environment names one."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.telemetry.otlp import CLOSE_S, is_wanted
from app.telemetry.tracing import Tracing, create_tracing
from tests.app.collector import ENDPOINT, collecting
from tests.processes import PROJECT, free_port
from tests.promises import allowed


def test_collector_that_takes_nothing_costs_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for name, value in {ENDPOINT: nobody, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.1", "OTEL_BSP_SCHEDULE_DELAY": "10"}.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO)

    async def scene() -> None:
        tracing = opened()
        for _ in range(3):
            tracing.record_training(1.0)
            await asyncio.sleep(0.05)
        await tracing.close()

    asyncio.run(scene())
    (line,) = caplog.records
    assert "takes no traces" in line.getMessage()


def opened() -> Tracing:
    tracing = create_tracing(os.environ)
    assert tracing
    tracing.open(os.environ)
    return tracing


@pytest.mark.slow
def test_collector_that_takes_its_time_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with collecting() as slow:
        slow.open.clear()
        monkeypatch.setenv(ENDPOINT, slow.url)

        async def scene() -> float:
            tracing = opened()
            tracing.record_training(1.0)
            began = time.perf_counter()
            await tracing.close()
            return time.perf_counter() - began

        assert asyncio.run(scene()) < CLOSE_S + allowed(1)
    assert "are lost" in caplog.text


GOOD = {ENDPOINT: "http://collector:4318"}


WANTED: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({ENDPOINT: ""}, False),
    (GOOD, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
    ({**GOOD, "OTEL_TRACES_EXPORTER": "none"}, False),
    ({**GOOD, "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ({**GOOD, "OTEL_SDK_DISABLED": "true"}, False),
]


@pytest.mark.parametrize(("environment", "wanted"), WANTED)
def test_traces_are_made_if_the_environment_wants_them(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted
    assert (create_tracing(environment) is not None) is wanted


WRONG = [
    {ENDPOINT: "collector:4318"},
    {ENDPOINT: "grpc://collector:4318"},
    {ENDPOINT: "http://"},
    {ENDPOINT: "http://collector:port"},
    {**GOOD, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    {**GOOD, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
    {**GOOD, "OTEL_TRACES_EXPORTER": "zipkin"},
]


@pytest.mark.parametrize("environment", WRONG)
def test_traces_that_cannot_be_made_are_a_wrong_configuration(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        is_wanted(environment)

    assert [*environment][-1] in str(refused.value)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'tabserve\[otel\]'"):
        is_wanted(GOOD)
    assert not is_wanted({})


@pytest.mark.slow
def test_without_a_collector_nothing_is_imported_to_send_spans(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom starlette.testclient import TestClient\nfrom app.main import create_app\n"
        "from app.settings import Settings\n"
        "with TestClient(create_app(Settings(device='cpu'))) as client:\n    client.get('/models')\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    folders = {f"TABSERVE_{name.upper()}_DIR": str(tmp_path / name) for name in ("models", "state", "datasets")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, capture_output=True, env=folders, check=True
    )

    assert done.stdout.strip() == b"[]"
