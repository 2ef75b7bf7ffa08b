"""Data sets on the disk: whole or absent, kept while needed, and nothing left of the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from app.datasets import disk, folders
from app.datasets.errors import DatasetInUse, DatasetNotFound, DatasetTooLarge, InvalidDataset
from app.datasets.store import MAX_SMALL_CHECKS, MAX_UPLOADS, SMALL_BYTES, DatasetStore
from app.errors import InvalidInput, ServingError, StoreUnavailable, TooManyStreams
from modelstore import ColumnSummary, DatasetSummary, Dialect, Inspection
from tests.app.datasets.uploads import (
    NONE,
    ONE,
    TWO,
    broken_off,
    files,
    files_of,
    look,
    pieces,
    put,
    run,
    sha256,
    store_file,
    used,
)

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


def test_data_set_is_kept_as_it_was_sent(store: DatasetStore, root: Path) -> None:
    stored, is_new = put(store, "churn", TWO)

    assert is_new
    assert (stored.name, stored.summary.rows, stored.summary.sha256) == ("churn", 2, sha256(TWO))
    assert store.path("churn", stored.summary.sha256, stored.dialect).read_bytes() == TWO
    assert run(store.get("churn")) == stored
    assert run(store.list()) == (stored,)
    assert files(root) == files_of("churn", TWO)


def test_data_set_that_a_training_needs_is_not_deleted(store: DatasetStore) -> None:
    put(store, "churn", ONE)
    put(store, "churn", TWO, needed := used(("churn", sha256(ONE))))

    with pytest.raises(DatasetInUse, match="needs data set churn"):
        run(store.delete("churn", needed))

    assert run(store.get("churn")).summary.sha256 == sha256(TWO)


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

    with pytest.raises(DatasetTooLarge, match="at most 100 bytes"):
        run(store.put("churn", pieces(b"x" * 60, b"x" * 60), NONE))

    assert files(root) == []


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


@contextlib.contextmanager
def held(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> Iterator[threading.Event]:
    """Hold threads up behind a function of a module until the end; yield what is set as soon as one is there."""
    real, reached, released = getattr(module, name), threading.Event(), threading.Event()

    def slow(*arguments: object) -> object:
        result = real(*arguments)
        reached.set()
        assert released.wait(120)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, name, slow)
        try:
            yield reached
        finally:
            released.set()


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda store: store.put("churn", pieces(TWO), NONE), files_of("churn", TWO)),
        (lambda store: store.delete("churn", NONE), []),
    ],
    ids=["replaced", "deleted"],
)
def test_change_whose_client_stops_waiting_is_made_whole_before_the_next(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[DatasetStore], Coroutine[object, object, object]],
    left: list[str],
) -> None:
    ours, theirs = (DatasetStore(root, 1 << 20, look) for _ in range(2))

    async def scene() -> None:
        await ours.put("churn", pieces(ONE), NONE)
        with held(monkeypatch, folders, "sync") as reached:
            changing = asyncio.create_task(change(ours))
            assert await asyncio.to_thread(reached.wait, 120)
            changing.cancel()
            following = asyncio.create_task(theirs.put("other", pieces(ONE), NONE))
            _, waiting = await asyncio.wait((following,), timeout=0.1)
            assert waiting
        with pytest.raises(asyncio.CancelledError):
            await changing
        await following
        await theirs.delete("other", NONE)
        assert files(root) == left

    run(scene())


def test_of_two_deletions_at_once_the_second_finds_no_data_set(root: Path) -> None:
    ours, theirs = (DatasetStore(root, 1 << 20, look) for _ in range(2))

    async def scene() -> list[BaseException | None]:
        await ours.put("churn", pieces(ONE), NONE)
        deletions = [store.delete("churn", NONE) for store in (ours, theirs)]
        return list(await asyncio.gather(*deletions, return_exceptions=True))

    ends = run(scene())

    assert sorted(type(end).__name__ for end in ends) == ["DatasetNotFound", "NoneType"]


def test_upload_whose_client_stops_waiting_at_its_begin_leaves_nothing(
    store: DatasetStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        with held(monkeypatch, disk, "new_locked_folder") as reached:
            upload = asyncio.create_task(store.put("churn", pieces(ONE), NONE))
            assert await asyncio.to_thread(reached.wait, 120)
            upload.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await upload

    run(scene())

    assert list(root.iterdir()) == []


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

        async def slow_if_large(file: Path, dialect: Dialect) -> Inspection:
            nonlocal most
            if file.name == "large.csv":
                large_runs.set()
                await release.wait()
                return await look(file, dialect)
            running.append(file)
            most = max(most, len(running))
            for _ in range(3):
                await asyncio.sleep(0)
            running.remove(file)
            return await look(file, dialect)

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
    columns = (ColumnSummary(name="x", type="numeric"),)
    return Inspection(summary=DatasetSummary(rows=1, size_bytes=1, sha256="0" * 64, columns=columns))


def test_file_that_reads_back_otherwise_is_not_kept(root: Path) -> None:
    async def misread(file: Path, dialect: Dialect) -> Inspection:
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


def test_file_with_another_dialect_is_another_content(store: DatasetStore) -> None:
    plain, _ = put(store, "churn", ONE)
    needed = used(("churn", plain.content))

    other, _ = run(store.put("churn", pieces(ONE), needed, dialect=Dialect(header=False)))

    assert (plain.content, other.summary.sha256) == (sha256(ONE), sha256(ONE))
    first, second = (store.path("churn", sha256(ONE), one.dialect) for one in (plain, other))
    assert first != second
    assert first.read_bytes() == second.read_bytes() == ONE
    assert run(store.get("churn")).dialect == Dialect(header=False)
