"""Folder layout of the data sets: contents by hash, and the current content of each name.

Layout: `<root>/<name>/<content>/{<name>.csv, summary.json}`, and `<root>/<name>/CURRENT` holds the current content; see
`content_id`. A content is immutable, so an upload does not affect a training that uses an earlier one.

Every function blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from app.datasets import disk
from app.datasets.errors import DatasetNotFound
from app.datasets.incoming import REMOVED_PREFIX, Incoming
from modelstore import DatasetSummary, Dialect, InvalidName, check_name
from modelstore.dialect import DETECTED
from modelstore.disk import replace, sync, write
from modelstore.records import ModelName, Record

CURRENT_FILE = "CURRENT"
SUMMARY_FILE = "summary.json"

_SHA256 = re.compile(r"[0-9a-f]{64}")

Contents = frozenset[tuple[str, str]]
Folders = tuple[Path, ...]


def content_id(sha256: str, dialect: Dialect) -> str:
    """Return the id of a content: a file's sha256, or another one if it was sent with options to read it.

    The same bytes read with other options are other rows, which have their own columns and their own trainings.
    """
    if dialect == DETECTED:
        return sha256
    options = dialect.model_dump_json(exclude_none=True)
    return hashlib.sha256(f"{sha256} {options}".encode()).hexdigest()


class StoredDataset(Record):
    """A stored data set.

    Attributes:
        created: time at which this content was uploaded.
        dialect: the options with which it was sent; what they leave open is detected.
    """

    name: ModelName
    created: AwareDatetime
    dialect: Dialect = DETECTED
    summary: DatasetSummary

    @property
    def content(self) -> str:
        """The id of its content."""
        return content_id(self.summary.sha256, self.dialect)


class DatasetFolders:
    """The folders of all data sets; changes require the lock of the store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str, content: str) -> Path:
        """Return the path of a content, which must be that of a `StoredDataset`.

        Raises:
            modelstore.InvalidName: if no data set can have that name.
        """
        return self._root / check_name(name) / content / f"{name}.csv"

    def install(
        self, incoming: Incoming, stored: StoredDataset, used: Contents | None
    ) -> tuple[StoredDataset, bool, Folders]:
        """Move a checked content into place and make it current; without knowing which are `used`, keep all contents.

        Returns:
            The stored data set, whether the name is new, and folders that the caller must delete.
        """
        home, content = self._root / stored.name, stored.content
        with disk.name_errors():
            is_new = _current(home) is None
            home.mkdir(exist_ok=True)
            known = _read(home / content)
            try:
                if known is None:
                    write(incoming.folder / SUMMARY_FILE, stored.model_dump_json().encode())
                    sync(incoming.folder)
                    shutil.rmtree(home / content, ignore_errors=True)  # present but unreadable: damaged
                    incoming.folder.rename(home / content)
                    sync(home)
                replace(home / CURRENT_FILE, content.encode())
            except OSError:
                if known is None:
                    shutil.rmtree(home / content, ignore_errors=True)
                _remove_if_empty(home)
                raise
            sync(self._root)
            return known or stored, is_new, self._set_aside(used)

    def forget(self, name: str, used: Contents) -> Folders:
        """Remove a name; return folders that the caller must delete."""
        with disk.name_errors():
            (self._root / name / CURRENT_FILE).unlink(missing_ok=True)
            sync(self._root / name)
            return self._set_aside(used)

    def _set_aside(self, used: Contents | None) -> Folders:
        """Move away every content that is not current and that no training needs; return the new folders."""
        stale: Folders = ()
        for home in self._homes() if used is not None else ():
            try:
                current, contents = _current(home), [*home.iterdir()]
            except OSError:  # nobody can tell which content is current, and the other names must not suffer
                continue
            for content in contents:
                needed = content.name == current or (home.name, content.name) in (used or ())
                if _SHA256.fullmatch(content.name) and not needed:
                    stale = (*stale, Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=self._root)))
                    content.rename(stale[-1] / content.name)
            if current is None:
                _remove_if_empty(home)
        return stale

    def _homes(self) -> Folders:
        try:
            return tuple(sorted(entry for entry in self._root.iterdir() if _legal(entry.name) and entry.is_dir()))
        except FileNotFoundError:
            return ()

    def find(self, name: str) -> StoredDataset:
        """Return the data set of a name.

        Raises:
            DatasetNotFound, StoreUnavailable.
        """
        if not _legal(name):
            raise DatasetNotFound
        home = self._root / name
        with disk.name_errors("read"):
            for _ in range(3):  # the content may be replaced between the two reads
                current = _current(home)
                found = _read(home / current) if current else None
                if found is not None:
                    return found
        raise DatasetNotFound

    def all(self) -> tuple[StoredDataset, ...]:
        """Return all data sets, by name."""
        found = []
        with disk.name_errors("read"):
            homes = self._homes()
        for home in homes:
            with contextlib.suppress(DatasetNotFound):  # deleted meanwhile
                found.append(self.find(home.name))
        return tuple(found)


def _legal(name: str) -> bool:
    try:
        check_name(name)
    except InvalidName:
        return False
    return True


def _current(home: Path) -> str | None:
    """Return the id of the current content of a name, or None."""
    try:
        text = (home / CURRENT_FILE).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    return text if _SHA256.fullmatch(text) else None


def _read(content: Path) -> StoredDataset | None:
    """Return the description of a content, or None if the content is missing or incomplete."""
    try:
        stored = StoredDataset.model_validate_json((content / SUMMARY_FILE).read_bytes())
        size_bytes = (content / f"{stored.name}.csv").stat().st_size
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return stored if size_bytes == stored.summary.size_bytes else None


def _remove_if_empty(home: Path) -> None:
    """Remove the folder of a removed name, unless it still has entries."""
    with contextlib.suppress(OSError):
        (home / f".{CURRENT_FILE}.new").unlink(missing_ok=True)
        home.rmdir()
