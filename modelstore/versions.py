"""Read one published version from disk, checked against its manifest and signature.

It must not write anything. Symbolic links are not followed, because files outside the repository were not published in
it. Hard links are accepted: the hash of the bytes that were read decides.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pydantic import ValidationError

from modelstore import wording
from modelstore.errors import BrokenVersion
from modelstore.manifest import Manifest
from modelstore.names import (
    MANIFEST_FILE,
    MODEL_FILE,
    ONNX_FILE,
    OWN_FILES,
    PICTURE,
    PLOT_DATA,
    SIGNATURE_FILE,
    check_attachments,
)
from modelstore.signing import SigningKey

MAX_MANIFEST_BYTES = 16 << 20
MAX_SIGNATURE_BYTES = 128
MAX_MODEL_BYTES = 256 << 20  # 64 million float32 weights; it is read into memory
_LINKED = (errno.ELOOP, errno.EMLINK)  # errors of O_NOFOLLOW on different systems


@dataclass(frozen=True)
class ModelVersion:
    """One published version: its location, and methods that read it.

    Attributes:
        key: the key that must have signed it; None requires no signature.
    """

    name: str
    version: int
    path: Path
    key: SigningKey | None = None

    def manifest(self) -> Manifest:
        """Read and check the manifest.

        Raises:
            BrokenVersion: if it is missing, too large, malformed, for another model, or not signed by the key.
        """
        data = self.manifest_bytes()
        self._check_signature(data)
        return self.parse(data)

    def manifest_bytes(self) -> bytes:
        """Return the bytes of the manifest without checking them.

        Raises:
            BrokenVersion: if it is missing or too large.
        """
        return self._read(MANIFEST_FILE, MAX_MANIFEST_BYTES)

    def parse(self, data: bytes) -> Manifest:
        """Parse the bytes of a manifest; the signature is not checked.

        Raises:
            BrokenVersion: if it is malformed, or belongs to another model.
        """
        try:
            manifest = Manifest.from_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise self._broken("manifest_invalid", f"{where}: {wording.describe_problem(first)}") from error
        if manifest.name != self.name:
            raise self._broken("manifest_name", f"the manifest is that of model {manifest.name!r}")
        return manifest

    def model_bytes(self, manifest: Manifest) -> bytes:
        """Return the bytes of `model.pt` after checking their hash; load from these bytes, not from the file.

        Raises:
            BrokenVersion: if size or sha256 differ from the manifest, or the size exceeds `MAX_MODEL_BYTES`.
        """
        return self._read_published(MODEL_FILE, manifest.sha256, manifest.size_bytes)

    def onnx_bytes(self, manifest: Manifest) -> bytes | None:
        """Return the bytes of `model.onnx` after checking their hash, None if the manifest has no such file.

        Raises:
            BrokenVersion: as in `model_bytes`.
        """
        onnx = manifest.onnx
        return None if onnx is None else self._read_published(ONNX_FILE, onnx.sha256, onnx.size_bytes)

    def verify(self) -> Manifest:
        """Check everything that needs no run of the model, and return the manifest.

        Raises:
            BrokenVersion: if anything differs from the published files.
        """
        manifest = self.manifest()
        self.model_bytes(manifest)
        self.onnx_bytes(manifest)
        return manifest

    def attachment(self, file: str, limit_bytes: int) -> bytes:
        """Return a further file of the version, such as a plot.

        Raises:
            InvalidName: if the name is not valid for an attachment.
            BrokenVersion: if it is missing or larger than the limit.
        """
        check_attachments((file,))
        return self._read(file, limit_bytes)

    def pictures(self) -> tuple[str, ...]:
        """Return the sorted names of the PNG files among the attachments.

        Raises:
            OSError: if the folder cannot be listed.
        """
        return self._list_attached(PICTURE)

    def plot_data(self) -> tuple[str, ...]:
        """Return the sorted names of the JSON files among the attachments, which hold what plots show.

        Raises:
            OSError: if the folder cannot be listed.
        """
        return self._list_attached(PLOT_DATA)

    def _list_attached(self, pattern: re.Pattern[str]) -> tuple[str, ...]:
        """Return the sorted names of the attachments that match."""
        with os.scandir(self.path) as entries:
            files = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)} - OWN_FILES
        return tuple(sorted(file for file in files if pattern.fullmatch(file)))

    def open_model(self, manifest: Manifest) -> BufferedReader:
        """Open `model.pt` for reading, after checking its hash piece by piece; the caller closes it.

        Raises:
            BrokenVersion: as in `model_bytes`.
        """
        try:
            stream = self._open(MODEL_FILE)
        except OSError as error:
            raise self._unreadable(MODEL_FILE, error) from error
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != manifest.sha256:
            stream.close()
            raise self._broken("integrity_sha256", f"{MODEL_FILE} is not the file that was published")
        stream.seek(0)
        return stream

    def fingerprint(self) -> tuple[int, ...]:
        """Return numbers that change if a file or folder is replaced or written; cheap, without hashing."""
        numbers: list[int] = []
        for folder in (self.path.parent, self.path):
            with contextlib.suppress(OSError):
                numbers.append(folder.lstat().st_ino)
        for file in sorted(OWN_FILES):
            with contextlib.suppress(OSError):
                status = (self.path / file).lstat()
                numbers += [status.st_ino, status.st_size, status.st_mtime_ns]
        return tuple(numbers)

    def _read_published(self, file: str, sha256: str, size_bytes: int) -> bytes:
        if size_bytes > MAX_MODEL_BYTES:
            raise self._broken("integrity_size", f"{file} may have at most {MAX_MODEL_BYTES >> 20} MiB")
        data = self._read(file, size_bytes)
        if len(data) != size_bytes:
            raise self._broken("integrity_size", f"{file} has {len(data)} of {size_bytes} bytes")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._broken("integrity_sha256", f"{file} is not the file that was published")
        return data

    def _check_signature(self, manifest: bytes) -> None:
        if self.key is None:
            return
        if not os.path.lexists(self.path / SIGNATURE_FILE):
            raise self._broken("signature_missing", f"there is no {SIGNATURE_FILE}, and this store wants signatures")
        signature = self._read(SIGNATURE_FILE, MAX_SIGNATURE_BYTES).decode("ascii", "replace").strip()
        if not self.key.verifies(manifest, signature):
            raise self._broken("signature_wrong", f"{MANIFEST_FILE} is not what the signing key signed")

    def _read(self, file: str, limit_bytes: int) -> bytes:
        try:
            data = self._read_plain(file, limit_bytes)
        except OSError as error:
            raise self._unreadable(file, error) from error
        if len(data) > limit_bytes:
            raise self._broken("integrity_size", f"{file} is larger than {limit_bytes} bytes")
        return data

    def _read_plain(self, file: str, limit_bytes: int) -> bytes:
        """Read at most one byte more than the limit; see `_open`."""
        with self._open(file) as stream:
            # a far too large limit must not allocate memory
            return stream.read(min(os.fstat(stream.fileno()).st_size, limit_bytes) + 1)

    def _open(self, file: str) -> BufferedReader:
        """Open a file without following a link below the root of the store.

        Raises:
            OSError: also for a symbolic link, and if it is not a regular file.
        """
        with contextlib.ExitStack() as opened:
            folder = os.open(self.path.parent.parent, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, folder)
            for step in (self.path.parent.name, self.path.name):
                if stat.S_ISLNK(os.stat(step, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise OSError(errno.ELOOP, "a symbolic link")  # os.open would only report that it is not a folder
                folder = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                opened.callback(os.close, folder)
            # O_NONBLOCK: do not wait for the other end of a pipe
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "no file")
            return os.fdopen(descriptor, "rb")

    def _unreadable(self, file: str, error: OSError) -> BrokenVersion:
        if error.errno in _LINKED:
            return self._broken("symbolic_link", f"{file} or its folder is a symbolic link")
        return self._broken("file_unreadable", f"{file} cannot be read")

    def _broken(self, reason: str, detail: str) -> BrokenVersion:
        return BrokenVersion(self.name, self.version, reason, detail)
