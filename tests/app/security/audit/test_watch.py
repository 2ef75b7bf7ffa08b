"""Changes without a request are on record once; refused clients take bounded room."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from app.security.audit.trail import AuditTrail
from app.security.audit.verification import verify
from app.security.audit.watch import Watch
from app.telemetry.model_metrics import ModelState, ServingVersion
from tests.app.security.audit.files import records, written
from tests.app.waiting import until
from tests.modelstore.samples import sample_manifest


def state(version: int, refused: dict[int, str] | None = None) -> ModelState:
    """Return a model of which a version serves, each with other bytes."""
    manifest = sample_manifest(str(version).encode())
    return ModelState("iris", version, ServingVersion(manifest, version, "cpu", 0.1), refused or {})


def test_watch_puts_versions_keys_and_refusals_on_record_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    serving, keys = [state(1)], [(1, True)]

    async def main() -> None:
        trail = AuditTrail(path)
        watch = Watch(trail, lambda: serving, lambda: keys[0])
        watch.look()
        watch.look()
        serving[0] = replace(state(2, {3: "golden_mismatch"}), shadow=4)
        keys[0] = (2, True)
        watch.look()
        keys[0] = (2, False)
        serving.clear()
        watch.look()
        for _ in range(100):
            watch.count("192.0.2.1", "key-not-accepted", None)
        watch.count("192.0.2.1", "scope-missing", "0123456789ab")
        watch.tell_refusals()
        watch.tell_refusals()
        await trail.close()

    asyncio.run(main())

    assert [(r["version"], r.get("version_before")) for r in records(path, "model.swapped")] == [(1, None), (2, 1)]
    (shadow,) = records(path, "model.shadowed")
    assert shadow["version"] == 4
    (refused,) = records(path, "model.refused")
    assert (refused["version"], refused["reason"]) == (3, "golden_mismatch")
    assert [r["outcome"] for r in records(path, "keys.reload")] == ["ok", "failed"]
    assert len(records(path, "model.gone")) == 1
    failures = [(r["peer"], r.get("key"), r["reason"], r["count"]) for r in records(path, "auth.fail")]
    assert failures == [("192.0.2.1", None, "key-not-accepted", 100), ("192.0.2.1", "0123456789ab", "scope-missing", 1)]


def test_refusals_of_very_many_clients_take_bounded_room(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def main() -> None:
        trail = AuditTrail(path)
        watch = Watch(trail, tuple, lambda: (0, True))
        for number in range(5000):
            watch.count(f"192.0.2.{number}", "key-not-accepted", None)
        watch.tell_refusals()
        await trail.close()

    asyncio.run(main())

    found = records(path, "auth.fail")
    assert len(found) == 1001
    assert sum(record["count"] for record in found) == 5000


def test_chain_goes_on_after_a_rotation_whichever_process_writes_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = path.with_suffix(".1"), path.with_suffix(".2")

    async def main() -> None:
        seldom, other = AuditTrail(path), written(path, 1)
        watch = Watch(seldom, tuple, lambda: (1, True))
        await seldom.record("service.start", "ok")
        path.rename(first)
        watch.look()
        until(lambda: records(path, "log.rotated"), "a new file within a second")
        written(path, 2).close()  # a process that starts now
        path.rename(second)
        await seldom.record("service.stop", "ok")
        await seldom.close()
        other.append([{"action": "test", "number": 3}])
        other.close()

    asyncio.run(main())

    assert verify([first, second, path]).records == 6
