"""Uploads in progress: whatever ends one leaves nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.datasets.errors import StorageFull
from app.datasets.store import BUFFER_BYTES, DatasetStore
from tests.app.datasets.uploads import NONE, ONE, TWO, broken_off, files, files_of, look, put, run, sha256
from tests.processes import PROJECT


def test_more_than_the_disk_has_room_for_is_refused_before_it_is_read(root: Path) -> None:
    store = DatasetStore(root, 1 << 62, look)

    with pytest.raises(StorageFull):
        run(store.put("churn", broken_off(), NONE, 1 << 60))

    assert files(root) == []


@contextmanager
def small_files(limit_bytes: int) -> Iterator[None]:
    """Let the system refuse to write more into any file, as a full disk does."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))


# the data, the summary or the name is what does not fit any more
@pytest.mark.parametrize(
    ("size", "limit"), [(2 * BUFFER_BYTES, BUFFER_BYTES), (10, 100), (10, 0)], ids=["data", "summary", "all"]
)
def test_full_disk_is_said_and_nothing_is_left(store: DatasetStore, root: Path, size: int, limit: int) -> None:
    put(store, "churn", ONE)

    with small_files(limit), pytest.raises(StorageFull):
        put(store, "other", b"x\n" * (size // 2))

    assert files(root) == files_of("churn", ONE)


def test_upload_that_breaks_off_leaves_nothing(store: DatasetStore, root: Path) -> None:
    with pytest.raises(ConnectionResetError):
        run(store.put("churn", broken_off(), NONE))

    assert list(root.iterdir()) == []


def test_cancelled_upload_leaves_nothing(store: DatasetStore, root: Path) -> None:
    async def scene() -> None:
        arrived = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * BUFFER_BYTES
            arrived.set()
            await asyncio.Event().wait()

        upload = asyncio.create_task(store.put("churn", slow(), NONE))
        await arrived.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload

    run(scene())

    assert list(root.iterdir()) == []


@pytest.mark.slow
def test_leftovers_of_a_dead_process_are_removed_and_those_of_a_living_one_not(store: DatasetStore, root: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.app.datasets.test_incoming", str(root)], cwd=PROJECT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    (abandoned,) = root.glob(".incoming-*")
    (root / ".removed-x" / sha256(ONE)).mkdir(parents=True)

    async def scene() -> list[str]:
        arrived = asyncio.Event()
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield TWO
            arrived.set()
            await go_on.wait()

        upload = asyncio.create_task(store.put("churn", slow(), NONE))
        await arrived.wait()
        await DatasetStore(root, 1 << 20, look).open()
        left = await asyncio.to_thread(lambda: [path.name for path in root.iterdir()])
        go_on.set()
        await upload
        return left

    (left,) = run(scene())

    assert left.startswith(".incoming-")
    assert left != abandoned.name
    assert run(store.get("churn")).summary.sha256 == sha256(TWO)


def die_while_receiving(root: Path) -> None:
    async def last_words() -> AsyncIterator[bytes]:
        yield b"x" * BUFFER_BYTES
        os.kill(os.getpid(), signal.SIGKILL)

    run(DatasetStore(root, 1 << 30, look).put("churn", last_words(), NONE))


if __name__ == "__main__":
    die_while_receiving(Path(sys.argv[1]))
