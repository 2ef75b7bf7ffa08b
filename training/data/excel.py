"""Turn Excel and OpenDocument sheets into CSV text; needs the extra `excel`."""

from __future__ import annotations

import csv
import datetime
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from training.data.sources import PieceReader
from training.errors import MissingExtra

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MAX_UNPACKED_BYTES = 2 << 30
ROWS = 1000

_WHOLE = float(1 << 53)


class Sheet:
    """The rows of the first sheet with cells, as CSV in UTF-8.

    Attributes:
        problem: what is wrong with the file, or the empty string.
        note: a sentence about the sheets that are not read, or the empty string.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Open the file.

        Raises:
            MissingExtra: if python-calamine is not installed.
        """
        try:
            import python_calamine  # noqa: F401, PLC0415
        except ModuleNotFoundError as error:
            raise MissingExtra("an Excel sheet", "excel") from error
        self.problem = _find_problem(stream)
        self.note = ""
        self._text = PieceReader(self._read(stream) if not self.problem else iter(()))

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        return self._text.read(size)

    def _read(self, stream: BinaryIO) -> Iterator[bytes]:
        import python_calamine  # noqa: PLC0415

        try:
            book = python_calamine.CalamineWorkbook.from_object(stream)
            names = book.sheet_names
            sheets = map(book.get_sheet_by_name, names)
            sheet = next((sheet for sheet in sheets if sheet.height and sheet.width > 1), None)
            if sheet is None:
                self.problem = "the workbook has no sheet with cells"
                return
            if len(names) > 1:
                self.note = f"of {len(names)} sheets, {sheet.name!r:.60} is read; save another one in a file of its own"
            yield from _write(sheet.iter_rows())
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            self.problem = f"the workbook cannot be read: {str(error) or type(error).__name__:.200}"


def _write(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    for number, row in enumerate(rows, start=1):
        writer.writerow(map(_text, row))
        if number % ROWS == 0:
            yield sink.getvalue().encode()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue().encode()


def _text(cell: object) -> str:
    """Return a cell as CSV has it: whole numbers without a point, dates in ISO 8601."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _WHOLE:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ") if cell.time() != datetime.time() else cell.date().isoformat()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)


def _find_problem(stream: BinaryIO) -> str:
    """Return what is wrong with the archive that a workbook is, or the empty string."""
    if stream.read(4) != ZIP:
        stream.seek(0)
        return ""
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        return f"the ZIP archive is damaged: {error!s:.100}"
    finally:
        stream.seek(0)
    names = {member.filename for member in members}
    if not names & {"[Content_Types].xml", "content.xml"}:
        return "a ZIP archive; unpack it and take the table, or pack that with gzip"
    if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        return f"the workbook unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB"
    return ""
