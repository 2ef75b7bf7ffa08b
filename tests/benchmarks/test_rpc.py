"""Calls of gRPC are measured at real servers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks import rpc
from benchmarks.rpc import calls_per_s, empty, tabserve
from modelstore import ModelRepository
from tests import fakes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load (nghttp2-client)"),
]


@pytest.fixture(autouse=True)
def _untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a model that answers at once in place of a training."""
    monkeypatch.setattr(rpc, "fit", publish_iris)


def publish_iris(folder: Path, name: str, *_options: str) -> None:
    fakes.publish(ModelRepository(folder), name, features=tuple("abcd"), classes=("x", "y", "z"))


@pytest.mark.parametrize("start", [tabserve, empty])
def test_calls_are_answered_and_counted(start: Callable[[Path], AbstractContextManager[int]], tmp_path: Path) -> None:
    with start(tmp_path) as port:
        assert 1 < calls_per_s(port, tmp_path, 1) < 100_000
