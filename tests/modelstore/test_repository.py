"""The store on disk: what is listed, what is refused, and which numbers are given."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelstore import (
    BrokenVersion,
    InvalidName,
    ModelRepository,
    ModelVersion,
    NotPermitted,
    NotShadow,
    Permit,
    PublishError,
    UnknownModel,
    UnknownVersion,
    VersionInUse,
)
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, whole_versions

PROJECT = Path(__file__).parents[2]


# Publish, list, find


def test_store_without_a_folder_is_empty(repository: ModelRepository) -> None:
    assert repository.names() == ()
    assert repository.versions("petals") == ()
    assert repository.active("petals") is None
    with pytest.raises(UnknownModel) as caught:
        repository.find("petals", 1)
    assert (caught.value.name, caught.value.known) == ("petals", ())


def test_published_version_is_listed_found_and_whole(repository: ModelRepository) -> None:
    manifest = sample_manifest()
    published = repository.publish(manifest, MODEL, {"loss.png": b"a plot"})
    assert published == ModelVersion("petals", 1, repository.root / "petals" / "1")
    assert repository.names() == ("petals",)
    assert repository.versions("petals") == (1,)
    assert repository.find("petals", 1) == published
    assert published.manifest() == manifest
    assert published.model_bytes(manifest) == MODEL
    assert {file.name: file.read_bytes() for file in published.path.iterdir()} == {
        "model.pt": MODEL,
        "manifest.json": manifest.to_json(),
        "loss.png": b"a plot",
    }


def test_published_folder_can_be_read_by_another_user(repository: ModelRepository) -> None:
    publish_sample(repository)
    assert (repository.root / "petals" / "1").stat().st_mode & 0o777 == 0o755


def test_unknown_version_names_those_that_exist(repository: ModelRepository) -> None:
    publish_sample(repository)
    publish_sample(repository)
    with pytest.raises(UnknownVersion) as caught:
        repository.find("petals", 3)
    assert (caught.value.name, caught.value.version, caught.value.known) == ("petals", 3, (1, 2))


def test_versions_are_sorted_as_numbers(repository: ModelRepository) -> None:
    for _ in range(11):
        publish_sample(repository)
    assert repository.versions("petals") == tuple(range(1, 12))


def test_models_are_counted_apart(repository: ModelRepository) -> None:
    publish_sample(repository)
    assert repository.publish(sample_manifest(name="leaves"), MODEL).version == 1
    assert repository.names() == ("leaves", "petals")


def test_what_is_no_version_is_not_listed(repository: ModelRepository) -> None:
    publish_sample(repository)
    folder = repository.root / "petals"
    for stranger in ("latest", "01", "1.bak", ".staging-x", "٣"):
        (folder / stranger).mkdir()
    (folder / "2").write_text("a file")
    (repository.root / "README.md").write_text("a file")
    (repository.root / "empty").mkdir()
    (repository.root / "dangling").symlink_to("nowhere")
    assert repository.names() == ("petals",)
    assert repository.versions("petals") == (1,)
    with pytest.raises(UnknownVersion):
        repository.find("petals", 3)


def test_link_in_place_of_a_version_or_model_is_listed_and_refused_with_the_reason(repository: ModelRepository) -> None:
    publish_sample(repository)
    folder = repository.root / "petals"
    (folder / "2").symlink_to("1", target_is_directory=True)
    (repository.root / "linked").symlink_to("petals", target_is_directory=True)

    assert (repository.names(), repository.versions("petals")) == (("linked", "petals"), (1, 2))
    for name, version in (("petals", 2), ("linked", 1)):
        with pytest.raises(BrokenVersion) as caught:
            repository.find(name, version).verify()
        assert caught.value.reason == "symbolic_link"
    assert repository.find("petals", 1).verify() == sample_manifest()


def test_nothing_is_written_through_a_link_in_place_of_a_model(repository: ModelRepository) -> None:
    publish_sample(repository)
    (repository.root / "linked").symlink_to("petals", target_is_directory=True)
    before = sorted(path.name for path in (repository.root / "petals").iterdir())

    for write in (repository.activate, repository.remove):
        with pytest.raises(PublishError, match="symbolic link"):
            write("linked", 1)
    assert sorted(path.name for path in (repository.root / "petals").iterdir()) == before


def test_root_of_the_store_may_be_a_link(repository: ModelRepository, tmp_path: Path) -> None:
    publish_sample(repository)
    (tmp_path / "link").symlink_to(repository.root, target_is_directory=True)

    assert ModelRepository(tmp_path / "link").find("petals", 1).verify() == sample_manifest()


# Numbers


def test_number_of_a_removed_version_is_not_used_again(repository: ModelRepository) -> None:
    for _ in range(3):
        publish_sample(repository)
    shutil.rmtree(repository.root / "petals" / "3")
    shutil.rmtree(repository.root / "petals" / "2")
    assert publish_sample(repository) == 4
    assert repository.versions("petals") == (1, 4)


@pytest.mark.parametrize("content", [b"", b"seven", b"0\n", b"\xff\xfe"], ids=["empty", "word", "zero", "binary"])
def test_damaged_counter_falls_back_to_the_highest_version(repository: ModelRepository, content: bytes) -> None:
    for _ in range(2):
        publish_sample(repository)
    (repository.root / "petals" / "LAST_VERSION").write_bytes(content)
    assert publish_sample(repository) == 3


def test_versions_copied_in_by_hand_are_counted(repository: ModelRepository) -> None:
    publish_sample(repository)
    folder = repository.root / "petals"
    shutil.copytree(folder / "1", folder / "40")
    assert publish_sample(repository) == 41


def test_a_stranger_in_the_place_of_a_number_is_kept_and_costs_that_number(repository: ModelRepository) -> None:
    publish_sample(repository)
    stranger = repository.root / "petals" / "2"
    stranger.write_text("precious")
    with pytest.raises(PublishError) as caught:
        publish_sample(repository)
    assert caught.value.errno == errno.ENOTDIR
    assert publish_sample(repository) == 3
    assert stranger.read_text() == "precious"


def test_no_version_is_published_under_a_number_that_could_not_be_read(repository: ModelRepository) -> None:
    publish_sample(repository)
    (repository.root / "petals" / "LAST_VERSION").write_text("999999999\n")
    with pytest.raises(InvalidName, match="got 1000000000"):
        publish_sample(repository)
    assert repository.versions("petals") == (1,)


@pytest.mark.slow
def test_two_processes_publish_at_once_without_a_lost_or_shared_number(repository: ModelRepository) -> None:
    command = [sys.executable, "-m", "tests.modelstore.publisher", str(repository.root), "20"]
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    given = [[int(number) for number in process.communicate(timeout=300)[0].split()] for process in processes]
    assert sorted(given[0] + given[1]) == list(range(1, 41))
    assert whole_versions(repository.root) == dict.fromkeys(range(1, 41), MODEL)
    assert all(numbers == sorted(numbers) for numbers in given)


# Active version


def test_nothing_is_active_until_it_is_activated(repository: ModelRepository) -> None:
    publish_sample(repository)
    assert repository.active("petals") is None


def test_activation_moves_both_ways(repository: ModelRepository) -> None:
    for _ in range(2):
        publish_sample(repository)
    for version in (1, 2, 1):
        repository.activate("petals", version)
        assert repository.active("petals") == version
    assert (repository.root / "petals" / "ACTIVE").read_bytes() == b"1\n"


def test_only_a_published_version_can_be_activated(repository: ModelRepository) -> None:
    with pytest.raises(UnknownModel):
        repository.activate("petals", 1)
    publish_sample(repository)
    with pytest.raises(UnknownVersion):
        repository.activate("petals", 2)
    with pytest.raises(InvalidName):
        repository.activate("petals", True)
    assert repository.active("petals") is None


@pytest.mark.parametrize("content", [b"", b"../1\n", b"latest\n", b"01\n", b"\xff"], ids=repr)
def test_damaged_active_file_activates_nothing(repository: ModelRepository, content: bytes) -> None:
    publish_sample(repository)
    (repository.root / "petals" / "ACTIVE").write_bytes(content)
    assert repository.active("petals") is None


def test_broken_version_hides_no_other(repository: ModelRepository) -> None:
    for _ in range(2):
        publish_sample(repository)
    (repository.root / "petals" / "1" / "manifest.json").unlink()
    assert repository.versions("petals") == (1, 2)
    assert repository.find("petals", 2).manifest() == sample_manifest()


# A disk that cannot be written

ON_A_READ_ONLY_STORE = """
import encodings.ascii  # now: the standard library may be out of reach later
import os
from pathlib import Path
from modelstore import ModelRepository, PublishError
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, whole_versions

store = Path(os.environ["STORE"])
os.chdir(store)  # before the rights go: the folders above belong to root alone
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
repository = ModelRepository(Path())
assert whole_versions(Path()) == {1: MODEL}
assert repository.active("petals") == 1
for write in (
    lambda: publish_sample(repository),
    lambda: repository.activate("petals", 1),
    lambda: repository.publish(sample_manifest(name="leaves"), MODEL),
):
    try:
        write()
    except PublishError as error:
        print(error.name, error.errno)
"""


@pytest.mark.slow
def test_read_only_store_is_read_and_not_written(repository: ModelRepository) -> None:
    publish_sample(repository)
    repository.activate("petals", 1)
    (repository.root / "petals").chmod(0o555)
    repository.root.chmod(0o555)
    try:
        child = subprocess.run(
            [sys.executable, "-c", ON_A_READ_ONLY_STORE],
            check=True,
            cwd=PROJECT,
            env={**os.environ, "STORE": str(repository.root)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    finally:
        repository.root.chmod(0o755)
        (repository.root / "petals").chmod(0o755)
    assert child.stdout.splitlines() == [f"{name} {errno.EACCES}" for name in ("petals", "petals", "leaves")]


def test_root_that_is_a_file_is_reported_with_its_errno(repository: ModelRepository) -> None:
    repository.root.write_text("a file")
    with pytest.raises(PublishError) as caught:
        publish_sample(repository)
    assert (caught.value.name, caught.value.errno) == ("petals", errno.ENOTDIR)
    assert repository.names() == ()


def test_previous_is_the_version_that_was_active_before(four_versions: ModelRepository) -> None:
    assert four_versions.previous("petals") is None
    for version, previous in ((2, None), (3, 2), (3, 2), (1, 3)):
        four_versions.activate("petals", version)
        assert four_versions.previous("petals") == previous


def test_removed_version_is_gone_and_its_number_is_not_used_again(four_versions: ModelRepository) -> None:
    four_versions.remove("petals", 4)
    assert sorted(whole_versions(four_versions.root)) == [1, 2, 3]
    assert publish_sample(four_versions) == 5
    with pytest.raises(UnknownVersion):
        four_versions.remove("petals", 4)


def test_active_version_cannot_be_removed(four_versions: ModelRepository) -> None:
    four_versions.activate("petals", 2)
    with pytest.raises(VersionInUse, match="activate another"):
        four_versions.remove("petals", 2)
    assert sorted(whole_versions(four_versions.root)) == [1, 2, 3, 4]


def test_removed_model_is_gone_with_its_permits_and_no_number_is_used_again(four_versions: ModelRepository) -> None:
    four_versions.activate("petals", 2)
    four_versions.activate("petals", 3)
    permit = Permit("f00", four_versions.permit("petals", "f00"))

    assert four_versions.remove_model("petals") == (1, 2, 3, 4)

    assert (four_versions.names(), four_versions.active("petals"), four_versions.previous("petals")) == ((), None, None)
    with pytest.raises(UnknownModel):
        four_versions.remove_model("petals")
    with pytest.raises(NotPermitted):
        four_versions.publish(sample_manifest(), MODEL, permit=permit)
    assert publish_sample(four_versions) == 5
    assert four_versions.active("petals") is None


def test_model_that_never_was_is_not_removed_and_gets_no_folder(repository: ModelRepository) -> None:
    with pytest.raises(UnknownModel):
        repository.remove_model("petals")
    assert not repository.root.exists()


def test_what_a_dead_remover_left_is_cleared_away_by_the_next_publisher(four_versions: ModelRepository) -> None:
    left = four_versions.root / "petals" / ".removed-x"
    (left / "3").mkdir(parents=True)
    publish_sample(four_versions)
    assert not left.exists()


@pytest.mark.parametrize(
    ("activated", "keep", "removed"),
    [
        ((), 4, ()),
        ((), 9, ()),
        ((), 1, (1, 2, 3)),
        ((1,), 1, (2, 3)),
        ((1, 2), 1, (3,)),
        ((3, 1), 2, (2,)),
        ((1, 2, 3), 1, (1,)),
    ],
)
def test_pruning_keeps_the_newest_the_active_one_and_the_one_before(
    four_versions: ModelRepository, activated: tuple[int, ...], keep: int, removed: tuple[int, ...]
) -> None:
    for version in activated:
        four_versions.activate("petals", version)
    assert four_versions.prune("petals", keep) == removed
    assert set(whole_versions(four_versions.root)) == {1, 2, 3, 4} - set(removed)


def test_keeping_none_is_refused(four_versions: ModelRepository) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        four_versions.prune("petals", 0)


def test_shadow_is_kept_through_pruning_and_ends_with_its_removal(four_versions: ModelRepository) -> None:
    four_versions.activate("petals", 4)
    four_versions.start_shadow("petals", 2)
    assert four_versions.prune("petals", 1) == (1, 3)
    assert (four_versions.shadow("petals"), 2 in four_versions.versions("petals")) == (2, True)
    with pytest.raises(NotShadow, match=r"version 4 is not the shadow of the active version; version 2 is"):
        four_versions.end_shadow("petals", 4)

    four_versions.remove("petals", 2)

    assert four_versions.shadow("petals") is None
    with pytest.raises(NotShadow, match="there is none"):
        four_versions.end_shadow("petals", 2)


def test_shadow_is_promoted_once_and_only_in_place_of_the_version_it_was_compared_with(
    four_versions: ModelRepository,
) -> None:
    active, shadow = 1, 3
    four_versions.activate("petals", active)
    four_versions.start_shadow("petals", shadow)
    with pytest.raises(NotShadow):
        four_versions.promote("petals", shadow, shadow)

    four_versions.promote("petals", shadow, active)

    found = (four_versions.active("petals"), four_versions.previous("petals"), four_versions.shadow("petals"))
    assert found == (shadow, active, None)
    with pytest.raises(NotShadow):
        four_versions.promote("petals", shadow, active)
