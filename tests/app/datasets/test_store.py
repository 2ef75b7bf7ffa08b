"""Data sets on the disk: whole or not there, kept while needed, and nothing left of what was not kept."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from app.datasets.errors import DatasetInUse, DatasetNotFound, DatasetTooLarge, InvalidDataset, StorageFull
from app.datasets.folders import Contents, StoredDataset
from app.datasets.store import BUFFER_BYTES, MAX_SMALL_CHECKS, MAX_UPLOADS, SMALL_BYTES, DatasetStore, InUse
from app.errors import InvalidInput, ServingError, StoreUnavailable, TooManyStreams
from modelstore import ColumnSummary, DatasetFault, DatasetSummary, Inspection

PROJECT = Path(__file__).resolve().parent.parent.parent.parent
ONE = b"x,y\n1,a\n"
TWO = b"x,y\n1,a\n2,b\n"
HOSTILE = (
    "..",
    ".",
    "",
    ".lock",
    "../a",
    "a/b",
    "A",
    "a b",
    "-a",
    "a" * 65,
    "a\x00",
    "a\n",
    "\N{LATIN SMALL LETTER A WITH GRAVE}",
    "%2e",
)

T = TypeVar("T")


async def look(file: Path) -> Inspection:
    """Find as many rows as the file has line feeds but one; a file that says `bad` has a fault."""
    data = await asyncio.to_thread(file.read_bytes)
    if b"bad" in data:
        return Inspection(faults=(DatasetFault(line=3, column="x", problem="is not a number"),))
    summary = DatasetSummary(
        rows=data.count(b"\n") - 1,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        columns=(ColumnSummary(name="x", kind="numeric"),),
    )
    return Inspection(summary=summary)


def used(*contents: tuple[str, str]) -> InUse:
    """Return what tells that trainings need these contents."""

    async def tell() -> Contents:
        return frozenset(contents)

    return tell


NONE = used()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken_off() -> AsyncIterator[bytes]:
    yield ONE * (BUFFER_BYTES // len(ONE) + 1)
    raise ConnectionResetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def store(root: Path) -> DatasetStore:
    return DatasetStore(root, 1 << 24, look)


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def put(store: DatasetStore, name: str, data: bytes, in_use: InUse = NONE) -> tuple[StoredDataset, bool]:
    return run(store.put(name, pieces(data), in_use, len(data)))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(root: Path) -> list[str]:
    """Return all files below the root, but for the lock."""
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())
    return [name for name in found if name != ".lock"]


def files_of(name: str, *contents: bytes) -> list[str]:
    ours = [f"{name}/{sha256(data)}/{file}" for data in contents for file in (f"{name}.csv", "summary.json")]
    return sorted([f"{name}/CURRENT", *ours])


def test_data_set_is_kept_as_it_was_sent(store: DatasetStore, root: Path) -> None:
    stored, is_new = put(store, "churn", TWO)

    assert is_new
    assert (stored.name, stored.summary.rows, stored.summary.sha256) == ("churn", 2, sha256(TWO))
    assert store.path("churn", stored.summary.sha256).read_bytes() == TWO
    assert run(store.get("churn")) == stored
    assert run(store.list()) == (stored,)
    assert files(root) == files_of("churn", TWO)


def test_replaced_content_is_removed(store: DatasetStore, root: Path) -> None:
    put(store, "churn", ONE)

    stored, is_new = put(store, "churn", TWO)

    assert not is_new
    assert run(store.get("churn")) == stored
    assert files(root) == files_of("churn", TWO)


def test_same_content_again_changes_nothing(store: DatasetStore, root: Path) -> None:
    first, _ = put(store, "churn", ONE)

    assert put(store, "churn", ONE) == (first, False)
    assert files(root) == files_of("churn", ONE)


def test_content_that_a_training_needs_stays_until_it_does_not(store: DatasetStore, root: Path) -> None:
    put(store, "churn", ONE)

    put(store, "churn", TWO, used(("churn", sha256(ONE))))
    assert files(root) == files_of("churn", ONE, TWO)

    put(store, "other", ONE)
    assert files(root) == sorted([*files_of("churn", TWO), *files_of("other", ONE)])


def test_nothing_is_removed_while_nobody_can_tell_what_is_needed(store: DatasetStore, root: Path) -> None:
    async def unknown() -> Contents:
        raise StoreUnavailable("the job table cannot be read")

    put(store, "churn", ONE)

    put(store, "churn", TWO, unknown)

    assert files(root) == files_of("churn", ONE, TWO)
    with pytest.raises(StoreUnavailable):
        run(store.delete("churn", unknown))


def test_deleted_data_set_leaves_nothing(store: DatasetStore, root: Path) -> None:
    put(store, "churn", ONE)

    run(store.delete("churn", NONE))

    with pytest.raises(DatasetNotFound):
        run(store.get("churn"))
    assert (run(store.list()), files(root), [path.name for path in root.iterdir()]) == ((), [], [".lock"])


def test_data_set_that_a_training_needs_is_not_deleted(store: DatasetStore) -> None:
    put(store, "churn", ONE)
    put(store, "churn", TWO, needed := used(("churn", sha256(ONE))))

    with pytest.raises(DatasetInUse) as caught:
        run(store.delete("churn", needed))

    assert caught.value.name == "churn"
    assert run(store.get("churn")).summary.sha256 == sha256(TWO)


def test_folders_of_other_people_are_let_alone(store: DatasetStore, root: Path) -> None:
    (root / "backup" / "2026").mkdir(parents=True)
    (root / "notes.txt").touch()
    put(store, "churn", ONE)

    run(store.delete("churn", NONE))

    assert (root / "backup" / "2026").is_dir()
    assert run(store.list()) == ()


def test_faults_are_named_and_nothing_is_left(store: DatasetStore, root: Path) -> None:
    put(store, "churn", ONE)

    with pytest.raises(InvalidDataset) as caught:
        put(store, "churn", b"x,y\n1,a\nbad,b\n")

    (problem,) = caught.value.problems
    assert (problem.row, problem.feature, problem.problem) == (3, "x", "is not a number")
    assert "line 3, column x: is not a number" in str(caught.value)
    assert files(root) == files_of("churn", ONE)


def test_data_set_that_says_too_large_is_refused_before_it_is_read(root: Path) -> None:
    store = DatasetStore(root, 100, look)

    with pytest.raises(DatasetTooLarge):
        run(store.put("churn", broken_off(), NONE, 101))

    assert not root.exists()


def test_data_set_that_is_too_large_is_refused_while_it_comes(root: Path) -> None:
    store = DatasetStore(root, 100, look)

    with pytest.raises(DatasetTooLarge) as caught:
        run(store.put("churn", pieces(b"x" * 60, b"x" * 60), NONE))

    assert caught.value.limit_bytes == 100
    assert files(root) == []


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


def test_name_that_cannot_be_written_leaves_the_content_before(store: DatasetStore, root: Path) -> None:
    first, _ = put(store, "churn", ONE)
    (root / "churn" / ".CURRENT.new").mkdir()  # in the way of the last step

    with pytest.raises(StoreUnavailable):
        put(store, "churn", TWO)

    (root / "churn" / ".CURRENT.new").rmdir()
    assert run(store.get("churn")) == first
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


def test_leftovers_of_a_dead_process_are_removed_and_those_of_a_living_one_not(store: DatasetStore, root: Path) -> None:
    ended = subprocess.run([sys.executable, "-m", "tests.app.datasets.test_store", str(root)], cwd=PROJECT, check=False)
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


@pytest.mark.parametrize("name", HOSTILE)
def test_other_names_than_those_of_models_touch_no_path(store: DatasetStore, root: Path, name: str) -> None:
    root.mkdir()
    (root.parent / "CURRENT").write_text(sha256(ONE))

    with pytest.raises(InvalidInput):
        run(store.put(name, broken_off(), NONE))
    with pytest.raises(DatasetNotFound):
        run(store.get(name))
    with pytest.raises(DatasetNotFound):
        run(store.delete(name, NONE))

    assert list(root.iterdir()) == []


def test_of_many_at_once_the_last_is_kept_whole(root: Path) -> None:
    stores = [DatasetStore(root, 1 << 20, look) for _ in range(2)]
    bodies = [b"x,y\n" + b"a" * 1000 * number + b"\n" for number in range(12)]

    async def scene() -> None:
        uploads = (stores[n % 2].put("churn", pieces(body), NONE) for n, body in enumerate(bodies))
        kept = await asyncio.gather(*uploads)
        assert sum(is_new for _, is_new in kept) == 1

    run(scene())

    data = store_file(stores[0]).read_bytes()
    assert data in bodies
    assert files(root) == files_of("churn", data)


def store_file(store: DatasetStore) -> Path:
    return store.path("churn", run(store.get("churn")).summary.sha256)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda store: store.put("churn", pieces(TWO), NONE), files_of("churn", TWO)),
        (lambda store: store.delete("churn", NONE), []),
    ],
    ids=["replaced", "deleted"],
)
def test_nothing_is_changed_while_another_process_holds_it(
    root: Path, change: Callable[[DatasetStore], Coroutine[object, object, object]], left: list[str]
) -> None:
    ours, theirs = (DatasetStore(root, 1 << 20, look) for _ in range(2))

    async def scene() -> None:
        await ours.put("churn", pieces(ONE), NONE)
        async with ours.unchanged():
            changing = asyncio.create_task(change(theirs))
            _, waiting = await asyncio.wait((changing,), timeout=0.1)
            assert waiting
            assert (await ours.get("churn")).summary.sha256 == sha256(ONE)
        await changing

    run(scene())

    assert files(root) == left


def test_damaged_content_is_not_there_and_comes_back_when_it_is_sent_again(store: DatasetStore, root: Path) -> None:
    stored, _ = put(store, "churn", ONE)
    store.path("churn", stored.summary.sha256).write_bytes(b"x")
    with pytest.raises(DatasetNotFound):
        run(store.get("churn"))

    put(store, "churn", ONE)

    assert store_file(store).read_bytes() == ONE
    assert files(root) == files_of("churn", ONE)


def test_no_more_uploads_than_a_process_may_have(store: DatasetStore) -> None:
    async def scene() -> None:
        started = [asyncio.Event() for _ in range(MAX_UPLOADS)]

        async def stuck(event: asyncio.Event) -> AsyncIterator[bytes]:
            event.set()
            await asyncio.Event().wait()
            yield b""

        uploads = [asyncio.create_task(store.put("churn", stuck(event), NONE)) for event in started]
        await asyncio.gather(*(event.wait() for event in started))
        with pytest.raises(TooManyStreams):
            await store.put("churn", pieces(ONE), NONE)
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)
        await store.put("churn", pieces(ONE), NONE)

    run(scene())


def test_x5_small_uploads_do_not_wait_for_large_ones_and_are_bounded_too(root: Path) -> None:
    async def scene() -> None:
        running: list[Path] = []
        most, release, large_runs = 0, asyncio.Event(), asyncio.Event()

        async def slow_if_large(file: Path) -> Inspection:
            nonlocal most
            if file.name == "large.csv":
                large_runs.set()
                await release.wait()
                return await look(file)
            running.append(file)
            most = max(most, len(running))
            for _ in range(3):
                await asyncio.sleep(0)
            running.remove(file)
            return await look(file)

        store = DatasetStore(root, 1 << 24, slow_if_large)
        large = [asyncio.create_task(store.put("large", pieces(b"x\n" * SMALL_BYTES), NONE)) for _ in range(2)]
        await large_runs.wait()
        await asyncio.gather(*(store.put(f"small{n}", pieces(ONE), NONE) for n in range(6)))

        assert 1 <= most <= MAX_SMALL_CHECKS
        assert not any(task.done() for task in large)
        release.set()
        await asyncio.gather(*large)

    run(scene())


def other_bytes(_: bytes) -> Inspection:
    columns = (ColumnSummary(name="x", kind="numeric"),)
    return Inspection(summary=DatasetSummary(rows=1, size_bytes=1, sha256="0" * 64, columns=columns))


def test_file_that_reads_back_otherwise_is_not_kept(root: Path) -> None:
    async def misread(file: Path) -> Inspection:
        return other_bytes(await asyncio.to_thread(file.read_bytes))

    with pytest.raises(StoreUnavailable, match="not what was sent"):
        put(DatasetStore(root, 1 << 20, misread), "churn", ONE)

    assert files(root) == []


@pytest.mark.parametrize(
    "work",
    [lambda store: store.put("churn", pieces(ONE), NONE), lambda store: store.list(), lambda store: store.get("churn")],
    ids=["put", "list", "get"],
)
def test_folder_that_is_none_makes_the_store_unavailable(
    tmp_path: Path, work: Callable[[DatasetStore], Coroutine[object, object, object]]
) -> None:
    (tmp_path / "file").touch()
    store = DatasetStore(tmp_path / "file", 1 << 20, look)

    run(store.open())
    with pytest.raises(ServingError):
        run(work(store))


def die_while_receiving(root: Path) -> None:
    async def last_words() -> AsyncIterator[bytes]:
        yield b"x" * BUFFER_BYTES
        os.kill(os.getpid(), signal.SIGKILL)

    run(DatasetStore(root, 1 << 30, look).put("churn", last_words(), NONE))


if __name__ == "__main__":
    die_while_receiving(Path(sys.argv[1]))
