"""A version that was read: damage in its files is refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstore import (
    BrokenVersion,
    ModelRepository,
)
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, sample_with


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
