"""kill -9 at every step: the store holds what it held, or that and one more whole version."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.modelstore.crashes import NOT_PERMITTED
from tests.modelstore.samples import MODEL, publish_sample, whole_versions
from tests.promises import Measured

PROJECT = Path(__file__).parents[2]


def empty_store(root: Path) -> None:
    root.mkdir()


def used_store(root: Path) -> None:
    """Make versions 1 and 2, 1 active, and what earlier crashes may have left."""
    repository = ModelRepository(root)
    for _ in range(2):
        publish_sample(repository)
    repository.activate("petals", 1)
    leftover = root / "petals" / ".staging-leftover"
    leftover.mkdir()
    (leftover / "model.pt").write_bytes(MODEL[:7])
    (root / "petals" / ".LAST_VERSION.new").write_bytes(b"")
    (root / "petals" / ".ACTIVE.new").write_bytes(b"2")


@pytest.fixture
def template(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    root = tmp_path / "template"
    request.param(root)
    return root


def kill_everywhere(how: str, scenario: str, template: Path) -> dict[Path, str]:
    """Return the store that each attempt left, and where the attempt was killed."""
    folder = template.with_name(f"attempts on {template.name}")
    folder.mkdir()
    arguments = [how, scenario, str(template), str(folder)]
    child = subprocess.run(
        [sys.executable, "-m", "tests.modelstore.crashes", *arguments],
        check=False,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
    )
    if child.returncode == NOT_PERMITTED:
        pytest.skip("strace may not attach to a process here")
    assert child.returncode == 0
    lines = (line.split(" ", 1) for line in child.stdout.splitlines())
    return {folder / n: where for n, where in lines}


def check_publish(root: Path, where: str, before: dict[int, bytes], active: int | None) -> None:
    """Check what a publisher left that was to add the version after `before`."""
    repository = ModelRepository(root)
    after = whole_versions(root)
    added = {number: model for number, model in after.items() if number not in before}
    assert {number: after[number] for number in before} == before, where
    assert added in ({}, {len(before) + 1: MODEL}), where
    assert added or where != "completed"
    assert repository.active("petals") == active, where
    check_that_work_goes_on(root, after)


def check_that_work_goes_on(root: Path, listed: dict[int, bytes]) -> None:
    """Check that the next publisher gets a new number, and clears away what a dead one left."""
    number = publish_sample(ModelRepository(root))
    assert number > max(listed, default=0)
    assert whole_versions(root) == {**listed, number: MODEL}
    hidden = {entry.name for entry in (root / "petals").glob(".*")} - {".ACTIVE.new", ".PREVIOUS.new"}
    assert hidden == {".lock"}


@pytest.mark.slow
@pytest.mark.parametrize("template", [pytest.param(empty_store, marks=pytest.mark.slow), used_store], indirect=True)
def test_publisher_killed_before_any_operation_leaves_the_store_whole(template: Path) -> None:
    before, active = whole_versions(template), ModelRepository(template).active("petals")
    attempts = kill_everywhere("operations", "publish", template)
    for root, where in attempts.items():
        check_publish(root, where, before, active)
    assert {where.split()[0] for where in attempts.values()} >= {
        "open", "fsync", "fcntl.flock", "os.mkdir", "os.chmod", "os.rename", "completed"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("template", [used_store], indirect=True)
def test_activation_killed_before_any_operation_leaves_the_old_or_the_new_version_active(template: Path) -> None:
    before = whole_versions(template)
    seen = []
    for root, where in kill_everywhere("operations", "activate", template).items():
        seen.append(ModelRepository(root).active("petals") or 0)
        assert whole_versions(root) == before, where
        check_that_work_goes_on(root, before)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("template", [used_store], indirect=True)
def test_removal_killed_before_any_operation_leaves_the_version_whole_or_gone(template: Path) -> None:
    before = whole_versions(template)
    for root, where in kill_everywhere("operations", "remove", template).items():
        after = whole_versions(root)
        assert after in (before, {number: model for number, model in before.items() if number != 2}), where
        assert ModelRepository(root).active("petals") == 1, where
        check_that_work_goes_on(root, after)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("template", [used_store], indirect=True)
def test_publisher_killed_at_any_system_call_leaves_the_store_whole(template: Path) -> None:
    before = whole_versions(template)
    attempts = kill_everywhere("syscalls", "publish", template)
    for root, where in attempts.items():
        check_publish(root, where, before, active=1)
    killed_at = {where.split()[0] for where in attempts.values()}
    assert killed_at >= {"openat", "write", "fsync", "flock", "completed"}
    assert list(attempts.values()).count("completed") == 1, "strace did not kill where it should"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.slow
def test_publisher_killed_at_200_system_calls_and_more_leaves_the_store_whole(
    tmp_path: Path, measured: Measured
) -> None:
    """F-01: at every call on files and folders, with all files that a training publishes, first and third version."""
    points = 0
    for make in (empty_store, used_store):
        template = tmp_path / make.__name__
        make(template)
        before, active = whole_versions(template), ModelRepository(template).active("petals")
        attempts = kill_everywhere("every_syscall", "publish_all", template)
        for root, where in attempts.items():
            check_publish(root, where, before, active)
        assert list(attempts.values()).count("completed") == 1, "strace did not kill where it should"
        points += len(attempts) - 1

    assert points >= 200
    measured("F-01", f"a publisher killed at {points} system calls: {points} whole stores")


@pytest.mark.slow
@pytest.mark.parametrize("template", [empty_store], indirect=True)
def test_everything_is_on_the_disk_before_the_next_step_relies_on_it(template: Path, measured: Measured) -> None:
    """F-03: the order of PostgreSQL's durable_rename: fsync files, fsync folder, rename, fsync parents."""
    attempts = kill_everywhere("operations", "publish", template)
    completed = list(attempts)[-1]
    steps = completed.with_suffix(".log").read_text().splitlines()
    store, folder = str(completed), f"{completed}/petals"
    staging = next(step.removeprefix("os.mkdir ") for step in steps if ".staging-" in step)
    assert [step for step in steps if step.startswith(("fsync", "os.rename"))] == [
        f"fsync {staging}/model.pt",
        f"fsync {staging}/manifest.json",
        f"fsync {staging}/loss.png",
        f"fsync {staging}",
        f"fsync {folder}/.LAST_VERSION.new",
        f"os.rename {folder}/.LAST_VERSION.new -> {folder}/LAST_VERSION",
        f"fsync {folder}",
        f"os.rename {staging} -> {folder}/1",
        f"fsync {folder}",
        f"fsync {store}",
    ]
    measured(
        "F-03",
        f"{sum(step.startswith('fsync') for step in steps)} fsync of files and folders, each before what relies on it",
    )
