"""The store on disk: what is listed, what is refused, and which numbers are given."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstore import (
    BrokenVersion,
    InvalidName,
    ModelRepository,
    ModelVersion,
    PublishError,
    UnknownModel,
    UnknownVersion,
    VersionInUse,
    check_name,
    check_version,
)
from modelstore.versions import MAX_MANIFEST_BYTES
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, sample_with, whole_versions

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return a store that does not exist yet."""
    return ModelRepository(tmp_path / "models")


# Names and versions


@pytest.mark.parametrize("name", ["a", "0", "iris", "iris-v2_b", "a" * 64])
def test_plain_names_are_allowed(name: str) -> None:
    assert check_name(name) == name


BAD_NAMES = {
    "empty": "",
    "parent folder": "..",
    "traversal": "../iris",
    "traversal inside": "iris/../../etc",
    "absolute path": "/etc/passwd",
    "backslash": "iris\\..",
    "encoded slash": "iris%2f..",
    "hidden": ".iris",
    "NUL": "iris\0",
    "line feed": "iris\n",
    "space": "iris 2",
    "capital": "Iris",
    "leading dash": "-iris",
    "letter with accent": "írìs",
    "fullwidth letters": "\uff49\uff52\uff49\uff53",
    "right-to-left mark": "iris\u202e",
    "lone surrogate": "iris\ud800",
    "65 characters": "a" * 65,
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_no_operation_takes_a_bad_name(repository: ModelRepository, name: str) -> None:
    for operation in (check_name, repository.versions, repository.active):
        with pytest.raises(InvalidName) as caught:
            operation(name)
        assert (caught.value.kind, caught.value.got) == ("a model name", name)
    for numbered in (repository.find, repository.activate):
        with pytest.raises(InvalidName):
            numbered(name, 1)
    with pytest.raises(InvalidName):
        repository.publish(sample_manifest().model_copy(update={"name": name}), MODEL)
    assert not repository.root.exists()


@pytest.mark.parametrize("version", [1, "1", 10, "999999999"])
def test_whole_numbers_are_versions(version: int | str) -> None:
    assert check_version(version) == int(version)


@pytest.mark.parametrize(
    "version",
    [
        0,
        -1,
        1_000_000_000,
        True,
        "",
        "01",
        "+1",
        "1.0",
        "1e3",
        "1_0",
        " 1",
        "1\n",
        "1\0",
        "٣",
        "²",
        "\uff11",
        "../1",
        "1/../2",
    ],
    ids=repr,
)
def test_nothing_else_is_a_version(version: int | str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_version(version)
    assert (caught.value.kind, caught.value.got) == ("a version", version)


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


@pytest.mark.parametrize(
    "file",
    [
        "",
        ".",
        "..",
        "../loss.png",
        "plots/loss.png",
        "/loss.png",
        ".hidden",
        "Loss.png",
        "a\0",
        "model.pt",
        "manifest.json",
    ],
)
def test_attachment_must_be_a_bare_file_name(repository: ModelRepository, file: str) -> None:
    with pytest.raises(InvalidName) as caught:
        repository.publish(sample_manifest(), MODEL, {file: b""})
    assert (caught.value.kind, caught.value.got) == ("an attachment", file)
    assert repository.names() == ()


def test_manifest_of_other_bytes_is_not_published(repository: ModelRepository) -> None:
    with pytest.raises(PublishError, match="not that of this model file"):
        repository.publish(sample_manifest(b"one file"), b"another.")
    assert not repository.root.exists()


# Numbers


def test_f3_manifest_too_large_for_readers_is_not_published_and_the_limit_is_named(
    repository: ModelRepository,
) -> None:
    """F3: what could never be read again is no version; the writers' bound is the readers'."""
    large = sample_manifest(description="x" * MAX_MANIFEST_BYTES)

    with pytest.raises(PublishError, match=r"a manifest may have at most 16 MiB, this one has 16\.0"):
        repository.publish(large, MODEL)

    assert repository.versions("petals") == ()
    assert publish_sample(repository) == 1


def test_f3_what_readers_would_refuse_is_not_published(repository: ModelRepository) -> None:
    """F3: whatever passed the writer's own checks, the files are read back by the readers' rules before they appear."""
    wrong = sample_manifest().model_copy(update={"classes": ("only one",)})  # a copy is not validated

    with pytest.raises(PublishError, match=r"no reader would take it \(manifest_invalid: classes"):
        repository.publish(wrong, MODEL)

    assert repository.versions("petals") == ()
    assert not list((repository.root / "petals").glob(".staging-*"))
    assert publish_sample(repository) == 1


def test_reserved_name_is_not_published_but_read_where_it_is(repository: ModelRepository) -> None:
    """Issue 12, small: GET /v2/models/stats would never show this model."""
    with pytest.raises(InvalidName, match="a new model's name must be one that hides behind no address"):
        repository.publish(sample_manifest(name="stats"), MODEL)

    assert repository.names() == ()
    publish_sample(repository)
    (repository.root / "petals").rename(repository.root / "stats")
    assert (repository.names(), repository.versions("stats")) == (("stats",), (1,))


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
    given = [[int(number) for number in process.communicate(timeout=60)[0].split()] for process in processes]
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


# Damage


def link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGE: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("empty", lambda file: file.write_bytes(b""), "integrity_size", "has 0 of 40 bytes"),
    ("truncated", lambda file: file.write_bytes(MODEL[:-1]), "integrity_size", "has 39 of 40 bytes"),
    ("enlarged", lambda file: file.write_bytes(MODEL + b"!"), "integrity_size", "is larger than 40 bytes"),
    ("one bit flipped", flip, "integrity_sha256", "is not the file that was published"),
    ("missing", Path.unlink, "file_unreadable", "cannot be read"),
    ("symbolic link", link, "symbolic_link", "or its folder is a symbolic link"),
    ("folder", folder, "file_unreadable", "cannot be read"),
    ("pipe", pipe, "file_unreadable", "cannot be read"),
]


@pytest.mark.parametrize(
    ("damage", "reason", "detail"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE]
)
def test_damaged_model_file_is_refused(
    repository: ModelRepository, damage: Callable[[Path], object], reason: str, detail: str
) -> None:
    publish_sample(repository)
    found = repository.find("petals", 1)
    damage(found.path / "model.pt")
    with pytest.raises(BrokenVersion) as caught:
        found.model_bytes(found.manifest())
    assert (caught.value.name, caught.value.version, caught.value.reason) == ("petals", 1, reason)
    assert caught.value.detail == f"model.pt {detail}"


BAD_MANIFESTS: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("truncated", lambda file: file.write_bytes(file.read_bytes()[:-9]), "manifest_invalid", "the whole: must be JSON"),
    ("inconsistent", lambda file: file.write_bytes(sample_with("size_bytes", 0)), "manifest_invalid", "size_bytes: "),
    ("another model's", lambda file: file.write_bytes(sample_with("name", "leaves")), "manifest_name", "'leaves'"),
    ("too large", lambda file: os.truncate(file, (16 << 20) + 1), "integrity_size", "is larger than 16777216 bytes"),
    ("missing", Path.unlink, "file_unreadable", "manifest.json cannot be read"),
    ("symbolic link", link, "symbolic_link", "manifest.json or its folder is a symbolic link"),
    ("folder", folder, "file_unreadable", "manifest.json cannot be read"),
    ("pipe", pipe, "file_unreadable", "manifest.json cannot be read"),
]


@pytest.mark.parametrize(
    ("damage", "reason", "detail"), [case[1:] for case in BAD_MANIFESTS], ids=[case[0] for case in BAD_MANIFESTS]
)
def test_damaged_manifest_is_refused(
    repository: ModelRepository, damage: Callable[[Path], object], reason: str, detail: str
) -> None:
    publish_sample(repository)
    found = repository.find("petals", 1)
    damage(found.path / "manifest.json")
    with pytest.raises(BrokenVersion) as caught:
        found.manifest()
    assert caught.value.reason == reason
    assert detail in caught.value.detail
    assert str(repository.root) not in str(caught.value)


@pytest.mark.parametrize("file", ["model.pt", "manifest.json"])
@pytest.mark.parametrize("damage", [flip, link, Path.unlink, lambda file: file.write_bytes(b"")])
def test_fingerprint_changes_with_the_files_only(
    repository: ModelRepository, damage: Callable[[Path], object], file: str
) -> None:
    publish_sample(repository)
    found = repository.find("petals", 1)
    os.utime(found.path / file, (0, 0))  # file times are too coarse to tell two writes in the same milliseconds apart
    before = found.fingerprint()
    assert found.fingerprint() == before
    damage(found.path / file)
    assert found.fingerprint() != before


def test_absurd_size_in_a_manifest_costs_no_memory(repository: ModelRepository) -> None:
    publish_sample(repository)
    with pytest.raises(BrokenVersion) as caught:
        repository.find("petals", 1).model_bytes(sample_manifest(size_bytes=1 << 60))
    assert caught.value.reason == "integrity_size"


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
            timeout=60,
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


@pytest.fixture
def four_versions(tmp_path: Path) -> ModelRepository:
    """Return a store with versions 1 to 4, of which none is active."""
    repository = ModelRepository(tmp_path / "models")
    for _ in range(4):
        publish_sample(repository)
    return repository


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
