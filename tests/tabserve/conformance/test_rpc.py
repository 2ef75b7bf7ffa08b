"""The rules over gRPC against our own service, and against one that fails."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelstore import ModelRepository
from tabserve.conformance.rpc import GrpcRules
from tabserve.conformance.rules import Finding, check_all
from tabserve.errors import ServiceUnreachable
from tests.app.server.rpc.conftest import served
from tests.fakes import publish
from tests.processes import free_port
from tests.settings import settings_in

HALVES = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [[0.5, 0.5]]}]}


def findings(port: int, model: str = "means", **options: Any) -> list[Finding]:
    with closing(GrpcRules(f"127.0.0.1:{port}", model, **options)) as rules:
        return list(check_all(rules.rules()))


def test_our_service_keeps_all_rules_and_a_model_that_is_none_breaks_those_of_models(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with served(settings_in(tmp_path)) as (_, channel):
        assert [each.outcome for each in findings(channel.port)] == ["kept"] * 9
        assert [each.outcome for each in findings(channel.port, request=HALVES)] == ["kept"] * 9
        broken = {each.name for each in findings(channel.port, "nobody") if each.outcome == "broken"}

    assert len(broken) == 5
    assert {"gRPC model ready", "gRPC model metadata", "gRPC inference", "gRPC id"} < broken


def test_server_that_is_none_is_unreachable() -> None:
    with pytest.raises(ServiceUnreachable):
        findings(free_port())
