"""Excel sheets as tables."""

from __future__ import annotations

import io
import zipfile

import pytest

from training.data.csv_blocks import CsvFile

pytest.importorskip("python_calamine")


def test_zip_archive_that_is_no_workbook_is_a_fault() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("table.csv", "a,b\n1,2\n")
    file = CsvFile(io.BytesIO(stream.getvalue()))

    assert file.read_header() == ()
    assert "a ZIP archive; unpack it" in file.faults.sorted()[0].problem


def test_damaged_workbook_is_a_fault() -> None:
    file = CsvFile(io.BytesIO(b"\xd0\xcf\x11\xe0" + b"x" * 900))

    assert file.read_header() == ()
    assert "the workbook cannot be read" in file.faults.sorted()[0].problem
