"""The child that inspects a data file: believed only for a valid result, and always ended.

A child that goes wrong is a package called `training` in the current folder, which `python -m training` prefers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.datasets.errors import InvalidDataset
from app.errors import StoreUnavailable
from app.jobs import inspection
from app.jobs.inspection import Inspector
from app.settings import Settings
from modelstore import Dialect, Inspection
from tests.app.waiting import until

FAULT = '{"summary": null, "faults": [{"line": 2, "column": "x", "problem": "is empty"}]}'

Child = Callable[[str], None]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    """Return what makes `python -m training` note its id, wait for a file if told so, and run the given lines."""
    folder = tmp_path / "cwd"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "__init__.py").touch()
    monkeypatch.chdir(folder)
    (folder / "some.csv").write_text("x\n1\n")
    head = (
        "import json, os, pathlib, signal, sys\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "arguments = json.loads(sys.stdin.readline() or 'null') if sys.argv[1] == 'wait' else sys.argv[1:]\n"
    )

    def write(source: str) -> None:
        (folder / "training" / "__main__.py").write_text(head + source)

    return write


def inspect(settings: Settings, timeout_s: float = 120.0) -> Inspection:
    return asyncio.run(_inspect(Inspector(settings, timeout_s)))


async def _inspect(inspector: Inspector) -> Inspection:
    return await inspector(Path("some.csv"), Dialect())


def noted() -> int:
    """Return the id of the child that started last; 0 before the first."""
    return int(Path("pid").read_text() or 0) if Path("pid").exists() else 0


def gone() -> bool:
    try:
        os.kill(noted(), 0)
    except ProcessLookupError:
        return True
    return False


def test_what_the_child_says_is_what_was_found(settings: Settings, child: Child) -> None:
    child(f"print('{FAULT}'); sys.exit(1)")

    (fault,) = inspect(settings).faults

    assert (fault.line, fault.column, fault.problem) == (2, "x", "is empty")


def test_child_is_told_the_file_and_is_niced_and_without_keys(
    settings: Settings, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABSERVE_DATABASE_URL", "postgresql://u:xqzjv@h/d")
    child("pathlib.Path('seen').write_text(repr((sys.argv[1:], os.nice(0), sorted(os.environ)))); print('{}')")

    with pytest.raises(StoreUnavailable):
        inspect(settings.model_copy(update={"train_niceness": 7}))

    seen = Path("seen").read_text()
    assert f"['inspect', 'some.csv', '--json'], {min(19, os.nice(0) + 7)}" in seen
    assert "TABSERVE" not in seen


@pytest.mark.parametrize(
    "source",
    ["sys.exit(3)", "raise MemoryError", "os.kill(os.getpid(), 9)", "print('nonsense')", "print('{\"faults\": []}')"],
    ids=["no word", "out of memory", "killed", "nonsense", "neither summary nor faults"],
)
def test_child_that_says_nothing_of_use_is_our_fault(settings: Settings, child: Child, source: str) -> None:
    child(source)

    with pytest.raises(StoreUnavailable, match="could not be checked"):
        inspect(settings)


def test_child_that_cannot_be_started_now_is_our_fault_and_the_next_one_is_started(
    settings: Settings, child: Child
) -> None:
    child(f"print('{FAULT}')")

    async def scene() -> None:
        with no_descriptor_left(), pytest.raises(StoreUnavailable, match="no process can be started now"):
            await _inspect(Inspector(settings))
        assert len((await _inspect(Inspector(settings))).faults) == 1

    asyncio.run(scene())


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Have this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_child_that_takes_too_long_is_ended(settings: Settings, child: Child) -> None:
    child("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('x' * 100_000, flush=True)\nsignal.pause()")

    for timeout_s in (1.0, 10.0, 60.0):
        with pytest.raises(InvalidDataset, match=f"cannot be checked within {timeout_s:g} seconds"):
            inspect(settings, timeout_s)
        if noted():  # it had the time to begin
            break

    assert gone()


def test_child_that_says_too_much_is_ended(settings: Settings, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MAX_ANSWER_BYTES", 1000)
    child("while True: print('x' * 100_000)")

    with pytest.raises(InvalidDataset, match="too many columns"):
        inspect(settings)

    assert gone()


def test_cancelled_check_leaves_no_child(settings: Settings, child: Child) -> None:
    child("pathlib.Path('ready').touch(); signal.pause()")

    async def scene() -> None:
        check = asyncio.create_task(_inspect(Inspector(settings)))
        await asyncio.to_thread(until, Path("ready").exists, "the child runs")
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check

    asyncio.run(scene())

    assert gone()


ONE_FILE_EACH = (
    f"if arguments: pathlib.Path('seen').open('a').write(f'{{os.getpid()}} {{arguments[1]}}\\n'); print('{FAULT}')"
)


def test_small_file_is_given_to_the_child_that_waits_and_each_child_sees_one_file(
    settings: Settings, child: Child
) -> None:
    child(ONE_FILE_EACH)
    pids: list[int] = []

    async def scene() -> None:
        inspector = Inspector(settings)
        ready = asyncio.create_task(inspector.keep_ready(0))
        for _ in range(2):
            await asyncio.to_thread(
                until, lambda: noted() if noted() not in (0, *pids) else None, "another child waits"
            )
            pids.append(noted())
            await inspector(Path("some.csv"), Dialect())
        await asyncio.to_thread(until, lambda: noted() if noted() not in (0, *pids) else None, "a third child waits")
        pids.append(noted())
        await end(inspector, ready)

    asyncio.run(scene())

    assert Path("seen").read_text().splitlines() == [f"{pid} some.csv" for pid in pids[:2]]
    assert gone()


async def inspect_beside_a_waiting_child(settings: Settings, *, kill: bool = False) -> int:
    """Inspect a file while a child waits, which may be killed before; return the child's id."""
    inspector = Inspector(settings)
    ready = asyncio.create_task(inspector.keep_ready(0))
    waiting = await asyncio.to_thread(until, lambda: noted() or None, "a child waits")
    if kill:
        os.kill(waiting, 9)
        until(gone, "its end")  # the loop, which stands still, has not heard of it
    try:
        await inspector(Path("some.csv"), Dialect())
    finally:
        await end(inspector, ready)
    return waiting


async def end(inspector: Inspector, ready: asyncio.Task[None]) -> None:
    """End the waiting child as the service does."""
    ready.cancel()
    await asyncio.wait((ready,))
    await inspector.close()


def test_large_file_gets_a_child_of_its_own(settings: Settings, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    child(ONE_FILE_EACH)
    monkeypatch.setattr(inspection, "SMALL_BYTES", 3)

    waiting = asyncio.run(inspect_beside_a_waiting_child(settings))

    assert not Path("seen").read_text().startswith(f"{waiting} ")


def test_waiting_child_that_was_killed_is_replaced_by_a_new_one(settings: Settings, child: Child) -> None:
    child(ONE_FILE_EACH)

    waiting = asyncio.run(inspect_beside_a_waiting_child(settings, kill=True))

    assert not Path("seen").read_text().startswith(f"{waiting} ")
