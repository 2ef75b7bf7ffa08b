"""Prepare and check the files of a version before publication; nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from modelstore.errors import BrokenVersion, PublishError
from modelstore.manifest import Manifest
from modelstore.names import MANIFEST_FILE, MODEL_FILE, ONNX_FILE, SIGNATURE_FILE, check_attachments, check_new_name
from modelstore.onnx_file import OnnxFile
from modelstore.signing import SigningKey
from modelstore.versions import MAX_MANIFEST_BYTES, MAX_MODEL_BYTES, ModelVersion

MIB = 1 << 20


def files_of(
    manifest: Manifest,
    model: bytes,
    attachments: Mapping[str, bytes],
    *,
    onnx: bytes | None,
    root: Path,
    key: SigningKey | None,
) -> dict[str, bytes]:
    """Return the files of a version by name, signed if there is a key.

    Raises:
        InvalidName: if the name of the model or of an attachment is not valid.
        PublishError: if the manifest does not describe the model files, or one of them is too large for readers.
    """
    check_new_name(manifest.name)
    check_attachments(attachments)
    document = manifest.to_json()
    problem = None
    if (hashlib.sha256(model).hexdigest(), len(model)) != (manifest.sha256, manifest.size_bytes):
        problem = "the manifest is not that of this model file"
    elif manifest.onnx != _record(onnx, manifest):
        problem = f"the manifest is not that of this {ONNX_FILE}"
    elif max(len(model), len(onnx or b"")) > MAX_MODEL_BYTES:
        problem = f"a model may have at most {MAX_MODEL_BYTES // MIB} MiB"
    elif len(document) > MAX_MANIFEST_BYTES:
        most = f"a manifest may have at most {MAX_MANIFEST_BYTES // MIB} MiB, this one has {len(document) / MIB:.1f}"
        problem = f"{most}; fewer or shorter features and classes make it smaller"
    if problem:
        raise PublishError(manifest.name, problem, root)
    files = {MODEL_FILE: model, MANIFEST_FILE: document, **({} if onnx is None else {ONNX_FILE: onnx}), **attachments}
    if key is not None:
        files[SIGNATURE_FILE] = f"{key.sign(document)}\n".encode()
    return files


def _record(onnx: bytes | None, manifest: Manifest) -> OnnxFile | None:
    """Return what a manifest must say about an ONNX file."""
    return None if onnx is None else OnnxFile.of(onnx, manifest.onnx.opset if manifest.onnx else 1)


def require_readable(staged: ModelVersion, root: Path) -> None:
    """Check written files by the rules of every reader, so that no unreadable version is published.

    Raises:
        PublishError: if a reader would refuse them.
    """
    try:
        staged.verify()
    except BrokenVersion as error:
        raise PublishError(staged.name, f"no reader would take it ({error.reason}: {error.detail})", root) from error
