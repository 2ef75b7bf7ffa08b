"""The files of a version before they are published: what no reader would take is refused."""

from __future__ import annotations

import pytest

from modelstore import ModelRepository, OnnxFile, PublishError
from modelstore.versions import MAX_MANIFEST_BYTES
from tests.modelstore.samples import MODEL, ONNX, publish_sample, sample_manifest


def test_manifest_of_other_bytes_is_not_published(repository: ModelRepository) -> None:
    with pytest.raises(PublishError, match="not that of this model file"):
        repository.publish(sample_manifest(b"one file"), b"another.")
    assert not repository.root.exists()


@pytest.mark.parametrize(("named", "given"), [(ONNX, None), (ONNX, b"another"), (None, ONNX)])
def test_manifest_of_another_onnx_file_is_not_published(
    repository: ModelRepository, named: bytes | None, given: bytes | None
) -> None:
    manifest = sample_manifest(onnx=named and OnnxFile.of(named, opset=20))

    with pytest.raises(PublishError, match=r"the manifest is not that of this model\.onnx"):
        repository.publish(manifest, MODEL, onnx=given)

    assert not repository.root.exists()


def test_f3_manifest_too_large_for_readers_is_not_published_and_the_limit_is_named(repository: ModelRepository) -> None:
    """F3: what could never be read again is no version; the writers' bound is the readers'."""
    large = sample_manifest(description="x" * MAX_MANIFEST_BYTES)

    with pytest.raises(PublishError, match=r"a manifest may have at most 16 MiB, this one has 16\.0"):
        repository.publish(large, MODEL)

    assert repository.versions("petals") == ()
    assert publish_sample(repository) == 1


def test_f3_what_readers_would_refuse_is_not_published(repository: ModelRepository) -> None:
    """F3: whatever passed the writer's own checks, the files are read back by the readers' rules before they appear."""
    wrong = sample_manifest().model_copy(update={"classes": ("only one",)})  # a copy is not validated

    with pytest.raises(PublishError, match=r"no reader would take it \(manifest_invalid: the whole: each"):
        repository.publish(wrong, MODEL)

    assert repository.versions("petals") == ()
    assert not list((repository.root / "petals").glob(".staging-*"))
    assert publish_sample(repository) == 1
