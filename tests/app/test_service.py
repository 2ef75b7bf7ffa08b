"""The parts of a service are created without side effects, and closed with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.runtime.trial import no_trial
from app.service import assemble, run_service
from modelstore import ModelRepository
from tests.fakes import publish
from tests.settings import settings_in


def test_parts_of_two_services_are_apart_and_open_nothing(tmp_path: Path) -> None:
    one, other = (assemble(settings_in(tmp_path / name), no_trial) for name in ("one", "other"))

    assert list(tmp_path.iterdir()) == []
    assert one.metrics is not other.metrics
    assert one.pipeline is not other.pipeline


def test_versions_serve_while_the_service_runs_and_its_start_and_stop_are_in_the_trail(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    publish(ModelRepository(settings.models_dir))

    async def run() -> list[object]:
        service = assemble(settings, no_trial)
        async with run_service(service):
            assert service.registry.active("means").schema.version == 1
        return [record["action"] for record in service.trail.read_last(10)]

    actions = asyncio.run(run())

    assert (actions[0], actions[-1]) == ("service.start", "service.stop")


def test_an_error_within_the_service_is_not_hidden(tmp_path: Path) -> None:
    async def run() -> None:
        async with run_service(assemble(settings_in(tmp_path), no_trial)):
            raise LookupError("wrong")

    with pytest.raises(LookupError, match="wrong"):
        asyncio.run(run())
