"""Excel sheets as tables."""

from __future__ import annotations

import io
import zipfile

import pytest

from training.data.csv_blocks import CsvFile

pytest.importorskip("python_calamine")

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def text(value: str) -> str:
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


SHEETS = {
    "notes": "",
    "staff": f"""<row>{text("name, first")}{text("since")}{text("pay")}</row>
      <row>{text("Zoë")}<c s="1"><v>45322</v></c><c><v>1500</v></c></row>
      <row>{text("Max")}<c r="C3"><v>2.5</v></c></row>""",
}
"""The first sheet has no cell; style 1 is a date, in days since 1899-12-30."""


def workbook() -> bytes:
    """Return an Excel file of these sheets."""
    numbered = list(enumerate(SHEETS, start=1))
    files = {
        "[Content_Types].xml": f"""<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels"
          ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml"
          ContentType="application/xml"/><Override PartName="/xl/workbook.xml"
          ContentType="{TYPE}.sheet.main+xml"/></Types>""",
        "_rels/.rels": f"""<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r"
          Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>""",
        "xl/workbook.xml": f"""<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{
            "".join(f'<sheet name="{name}" sheetId="{number}" r:id="s{number}"/>' for number, name in numbered)
        }</sheets></workbook>""",
        "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="styles"
          Type="{OFFICE}/styles" Target="styles.xml"/>{
            "".join(
                f'<Relationship Id="s{number}" Type="{OFFICE}/worksheet" Target="worksheets/{name}.xml"/>'
                for number, name in numbered
            )
        }</Relationships>""",
        "xl/styles.xml": f"""<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf/><xf numFmtId="14"/></cellXfs>
          </styleSheet>""",
        **{
            f"xl/worksheets/{name}.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
            for name, rows in SHEETS.items()
        },
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return stream.getvalue()


def test_first_sheet_with_cells_is_read_with_dates_whole_numbers_and_gaps() -> None:
    file = CsvFile(io.BytesIO(workbook()))

    assert file.read_header() == ("name, first", "since", "pay")
    assert [row for block in file.blocks({0, 1, 2}) for row in block.cells.to_numpy().tolist()] == [
        ["Zoë", "2024-01-31", "1500"],
        ["Max", "", "2.5"],
    ]


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
