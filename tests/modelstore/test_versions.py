"""A version that was read: damage in its files is refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstore import BrokenVersion, ModelRepository, OnnxFile
from tests.modelstore.samples import MODEL, ONNX, publish_sample, sample_manifest, sample_with


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


@pytest.mark.parametrize(
    ("damage", "reason"), [(case[1], case[2]) for case in DAMAGE], ids=[case[0] for case in DAMAGE]
)
def test_damaged_onnx_file_is_refused_and_breaks_the_version(
    repository: ModelRepository, damage: Callable[[Path], object], reason: str
) -> None:
    found = repository.publish(sample_manifest(onnx=OnnxFile.of(ONNX, 20)), MODEL, onnx=ONNX)
    before = found.fingerprint()
    damage(found.path / "model.onnx")

    for read in (lambda: found.onnx_bytes(found.manifest()), found.verify):
        with pytest.raises(BrokenVersion) as caught:
            read()
        assert (caught.value.reason, caught.value.detail.startswith("model.onnx ")) == (reason, True)
    assert found.model_bytes(found.manifest()) == MODEL
    assert found.fingerprint() != before


def test_onnx_file_that_the_manifest_does_not_name_is_ignored(repository: ModelRepository) -> None:
    publish_sample(repository)
    found = repository.find("petals", 1)
    (found.path / "model.onnx").write_bytes(ONNX)

    assert found.onnx_bytes(found.verify()) is None


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


def test_pictures_are_the_png_files_that_were_published(repository: ModelRepository) -> None:
    files = {"loss.png": b"1", "confusion.png": b"2", "history.jsonl": b"3", "residuals.json": b"{}"}
    found = repository.publish(sample_manifest(), MODEL, files)
    (found.path / "linked.png").symlink_to("history.jsonl")
    (found.path / "folder.png").mkdir()
    (found.path / "Strange name.png").touch()

    assert found.pictures() == ("confusion.png", "loss.png")
    assert found.plot_data() == ("residuals.json",)


def test_model_is_opened_at_its_beginning_once_its_hash_was_checked(repository: ModelRepository) -> None:
    found = repository.find("petals", publish_sample(repository))

    with found.open_model(found.manifest()) as stream:
        assert stream.read() == MODEL


@pytest.mark.parametrize(
    ("damage", "reason"), [(flip, "integrity_sha256"), (link, "symbolic_link"), (pipe, "file_unreadable")]
)
def test_damaged_model_is_not_opened(
    damage: Callable[[Path], object], reason: str, repository: ModelRepository
) -> None:
    found = repository.find("petals", publish_sample(repository))
    damage(found.path / "model.pt")

    with pytest.raises(BrokenVersion) as caught:
        found.open_model(found.manifest())

    assert caught.value.reason == reason
