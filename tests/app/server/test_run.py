"""One process or several workers: what is said at the start, and what reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.fakes import publish
from tests.processes import service


@pytest.mark.slow
def test_service_says_where_it_listens_and_ends_with_0_when_it_is_told_to(tmp_path: Path) -> None:
    with service(tmp_path, ready=False) as (client, process):
        process.terminate()

        assert process.wait(120) == 0
    assert f"listening on http://127.0.0.1:{client.base_url.port}" in (tmp_path / "service.log").read_text()


@pytest.mark.slow
def test_launcher_of_workers_has_no_torch_and_hands_its_flags_on(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    flags = ("--workers", "2", "--max-body-bytes", "1024")
    with service(tmp_path, *flags) as (client, process):
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
        for _ in range(4):
            answer = client.post("/predict/means", content=b" " * 1025, headers={"content-type": "application/json"})
            assert answer.status_code == 413
