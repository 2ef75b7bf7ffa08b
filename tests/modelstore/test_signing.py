"""Signed manifests: without the holder's signature a version is broken."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelstore import BrokenVersion, InvalidKey, ModelRepository, OnnxFile, SigningKey
from tests.modelstore.samples import MODEL, ONNX, publish_sample, sample_manifest, whole_versions

KEY = SigningKey(b"k" * 32)
CHANGED = sample_manifest(description="another").to_json()


@pytest.fixture
def signed(tmp_path: Path) -> ModelRepository:
    """Return a store whose version 1 is signed."""
    repository = ModelRepository(tmp_path / "models", KEY)
    publish_sample(repository)
    return repository


def test_signed_version_is_read_with_its_key_and_without_any(signed: ModelRepository) -> None:
    assert signed.find("petals", 1).manifest() == sample_manifest()
    assert whole_versions(signed.root) == {1: MODEL}


def test_signature_is_an_hmac_that_other_programs_can_compute(signed: ModelRepository) -> None:
    folder = signed.find("petals", 1).path
    message = b"tabserve manifest v1\0" + (folder / "manifest.json").read_bytes()
    expected = hmac.digest(KEY.secret, message, hashlib.sha256).hex()
    assert (folder / "manifest.sig").read_text() == f"{expected}\n"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "manifest.sig").unlink(), "signature_missing"),
        (lambda folder: (folder / "manifest.sig").write_text(""), "signature_wrong"),
        (lambda folder: (folder / "manifest.sig").write_bytes(b"\xff" * 64), "signature_wrong"),
        (lambda folder: (folder / "manifest.sig").write_text("0" * 64), "signature_wrong"),
        (lambda folder: (folder / "manifest.sig").write_text("0" * 1000), "integrity_size"),
        (lambda folder: (folder / "manifest.json").write_bytes(CHANGED), "signature_wrong"),
        (lambda folder: (folder / "model.pt").write_bytes(MODEL[::-1]), "integrity_sha256"),
    ],
    ids=["no signature", "empty", "no text", "made up", "endless", "changed manifest", "changed model"],
)
def test_changed_or_unsigned_version_is_broken(
    signed: ModelRepository, damage: Callable[[Path], object], reason: str
) -> None:
    found = signed.find("petals", 1)
    damage(found.path)
    with pytest.raises(BrokenVersion) as caught:
        found.model_bytes(found.manifest())
    assert caught.value.reason == reason


def test_another_key_does_not_vouch(signed: ModelRepository) -> None:
    with pytest.raises(BrokenVersion, match="signature_wrong"):
        ModelRepository(signed.root, SigningKey(b"K" * 32)).find("petals", 1).manifest()


def test_version_published_without_the_key_can_be_signed_later(tmp_path: Path) -> None:
    unsigned, repository = ModelRepository(tmp_path), ModelRepository(tmp_path, KEY)
    publish_sample(unsigned)
    with pytest.raises(BrokenVersion, match="signature_missing"):
        repository.find("petals", 1).manifest()
    repository.sign("petals", 1)
    assert repository.find("petals", 1).manifest() == sample_manifest()


@pytest.mark.parametrize("file", ["model.pt", "model.onnx"])
def test_damaged_version_is_not_signed(file: str, tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path, KEY)
    ModelRepository(tmp_path).publish(sample_manifest(onnx=OnnxFile.of(ONNX, 20)), MODEL, onnx=ONNX)
    (tmp_path / "petals" / "1" / file).write_bytes(b"another")
    with pytest.raises(BrokenVersion, match="integrity"):
        repository.sign("petals", 1)
    assert not (tmp_path / "petals" / "1" / "manifest.sig").exists()


def test_signing_changes_the_fingerprint_so_that_a_refused_version_is_tried_again(tmp_path: Path) -> None:
    publish_sample(ModelRepository(tmp_path))
    found = ModelRepository(tmp_path, KEY).find("petals", 1)
    before = found.fingerprint()
    ModelRepository(tmp_path, KEY).sign("petals", 1)
    assert found.fingerprint() != before


def test_older_keys_still_vouch_and_the_newest_signs(signed: ModelRepository) -> None:
    both = SigningKey(b"N" * 32, older=(KEY.secret,))
    repository = ModelRepository(signed.root, both)
    assert repository.find("petals", 1).manifest() == sample_manifest()
    publish_sample(repository)
    assert ModelRepository(signed.root, SigningKey(b"N" * 32)).find("petals", 2).verify() == sample_manifest()
    with pytest.raises(BrokenVersion, match="signature_wrong"):
        signed.find("petals", 2).manifest()


# Key files


def test_key_file_is_read_without_the_line_feed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"k" * 32 + b"\n")
    file.chmod(0o600)
    assert SigningKey.read(file) == KEY
    assert "kkk" not in repr(KEY)


def test_key_file_holds_a_key_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\n" + b"n" * 32 + b"\n\n" + b"o" * 33 + b"\n")
    file.chmod(0o640)
    assert SigningKey.read(file) == SigningKey(b"n" * 32, older=(b"o" * 33,))


def test_made_key_file_is_private_and_a_new_key_comes_before_the_old_ones(tmp_path: Path) -> None:
    file = tmp_path / "key"
    first = SigningKey.create(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    second = SigningKey.create(file)
    assert second.older == (first.secret,)
    assert (SigningKey.read(file), file.stat().st_mode & 0o777) == (second, 0o640)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    with pytest.raises(InvalidKey, match="cannot be written"):
        SigningKey.create(tmp_path / "nowhere" / "key")


def test_a_key_file_that_many_read_or_create_has_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(SigningKey.read_or_create, [tmp_path / "key"] * 40))

    assert set(made) == {SigningKey.read(tmp_path / "key")}
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("key", 0o600)]
    with pytest.raises(InvalidKey, match="cannot be written"):
        SigningKey.read_or_create(tmp_path / "nowhere" / "key")


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (None, 0, "cannot be read"),
        (b"", 0o600, "at least 32 bytes, a line each, got 0 bytes"),
        (b"k" * 31, 0o600, "at least 32 bytes, a line each, got 31 bytes"),
        (b" " * 40, 0o600, "at least 32 bytes, a line each, got 0 bytes"),
        (b"k" * 32 + b"\nshort\n", 0o600, "got 5 bytes"),
        (b"k" * 32 + b"\n" * 70_000, 0o600, "at least 32 bytes, a line each"),
        (b"k" * 32, 0o644, "others may read or write it"),
        (b"k" * 32, 0o660, "others may read or write it"),
    ],
)
def test_key_file_of_no_use_is_refused_by_name_and_without_its_content(
    tmp_path: Path, content: bytes | None, mode: int, problem: str
) -> None:
    file = tmp_path / "signing.key"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    with pytest.raises(InvalidKey, match=problem) as caught:
        SigningKey.read(file)
    assert "signing.key" in str(caught.value)
    assert "kkk" not in str(caught.value)
