"""Records are on disk when their callers go on, many with one write, or they are refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from app.security.audit.trail import AuditTrail
from app.security.audit.verification import verify
from app.security.errors import AuditUnavailable
from tests.app.security.audit.files import records


def test_many_at_once_wait_together_for_the_disk_and_are_all_on_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def main() -> int:
        trail = AuditTrail(path)
        await trail.record("test", "ok", number=-1)
        writes = int(_syscalls("syscw"))
        await asyncio.gather(*(trail.record("test", "ok", number=number) for number in range(1000)))
        writes = int(_syscalls("syscw")) - writes
        await trail.close()
        return writes

    assert asyncio.run(main()) < 200  # some more the slower the loop puts them in line; one each were 1000
    assert [record["number"] for record in records(path, "test")] == list(range(-1, 1000))
    assert verify([path]).records == 1001


def _syscalls(name: str) -> str:
    lines = Path(f"/proc/{os.getpid()}/io").read_text().splitlines()
    return dict(line.split(": ") for line in lines)[name]


def test_file_that_another_process_never_lets_go_of_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(0o600)
    holder = os.open(path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    monkeypatch.setattr("app.security.audit.trail.DEADLINE_S", 0.05)
    monkeypatch.setattr("app.security.audit.chain.LOCK_DEADLINE_S", 0.2)

    async def main() -> None:
        trail = AuditTrail(path)
        with pytest.raises(AuditUnavailable):
            await trail.record("test", "ok")
        monkeypatch.undo()
        os.close(holder)
        await trail.record("test", "ok", number=2)
        await trail.close()

    asyncio.run(main())

    assert verify([path]).records in (1, 2)  # what was given up may have been written all the same
    assert records(path, "test")[-1]["number"] == 2
