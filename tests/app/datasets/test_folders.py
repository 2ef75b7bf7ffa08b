"""Contents in their folders: which one is current, and which are removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.datasets.errors import DatasetNotFound
from app.datasets.folders import Contents
from app.datasets.store import DatasetStore
from app.errors import StoreUnavailable
from tests.app.datasets.uploads import NONE, ONE, TWO, files, files_of, put, run, sha256, store_file, used


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


def test_folder_that_cannot_be_read_hinders_no_other_data_set(store: DatasetStore, root: Path) -> None:
    """A link to itself is what not even root can read."""
    put(store, "churn", ONE)
    (root / "churn" / "CURRENT").unlink()
    (root / "churn" / "CURRENT").symlink_to("CURRENT")

    put(store, "other", ONE)
    put(store, "other", TWO)
    run(store.delete("other", NONE))

    with pytest.raises(StoreUnavailable):
        run(store.get("churn"))
    assert files(root) == files_of("churn", ONE)


def test_folders_of_other_people_are_let_alone(store: DatasetStore, root: Path) -> None:
    (root / "backup" / "2026").mkdir(parents=True)
    (root / "notes.txt").touch()
    put(store, "churn", ONE)

    run(store.delete("churn", NONE))

    assert (root / "backup" / "2026").is_dir()
    assert run(store.list()) == ()


def test_name_that_cannot_be_written_leaves_the_content_before(store: DatasetStore, root: Path) -> None:
    first, _ = put(store, "churn", ONE)
    (root / "churn" / ".CURRENT.new").mkdir()  # in the way of the last step

    with pytest.raises(StoreUnavailable):
        put(store, "churn", TWO)

    (root / "churn" / ".CURRENT.new").rmdir()
    assert run(store.get("churn")) == first
    assert files(root) == files_of("churn", ONE)


def test_damaged_content_is_not_there_and_comes_back_when_it_is_sent_again(store: DatasetStore, root: Path) -> None:
    stored, _ = put(store, "churn", ONE)
    store.path("churn", stored.summary.sha256, stored.dialect).write_bytes(b"x")
    with pytest.raises(DatasetNotFound):
        run(store.get("churn"))

    put(store, "churn", ONE)

    assert store_file(store).read_bytes() == ONE
    assert files(root) == files_of("churn", ONE)
