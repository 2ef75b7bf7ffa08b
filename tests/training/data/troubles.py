"""Small files, each with one trouble of real tables, and what must happen to it.

The rows are made by rule: `size` and `width` are numbers, and `kind`, the target, depends on `size` alone.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

from modelstore import ColumnType, DataOptions
from training.data.churn import to_csv

ROWS = 80
WORDS = ("late", "red", "calm", "north", "paper", "slow", "open", "warm")
Cell = Callable[[int], str]


@dataclass(frozen=True)
class Trouble:
    """A file and what must happen to it.

    Attributes:
        content: the bytes of the file.
        types: expected types of these columns; others are not looked at.
        left_out: expected reasons, one of several, of the columns that are left out; no other column may be.
        said: each of these texts must stand in a fault or in a warning.
        fails: whether the file must be refused.
        rows: expected number of rows that are used; not looked at if 0.
        classes: expected classes in any order; not looked at if empty.
        missing_targets: expected number of rows left out because they have no target.
    """

    content: bytes
    types: dict[str, ColumnType] = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    fails: bool = False
    rows: int = 0
    classes: frozenset[str] = frozenset()
    missing_targets: int = 0
    target: str = "kind"
    options: DataOptions = field(default_factory=DataOptions)


def size(row: int) -> str:
    return f"{(row * 37) % 101 / 2}"


def width(row: int) -> str:
    return f"{(row * 53) % 89 / 4}"


def kind(row: int) -> str:
    return "yes" if (row * 37) % 101 + 30 * (row % 3) > 80 else "no"


def table(target: Cell = kind, **columns: Cell) -> list[list[str]]:
    """Return header and rows of `size`, `width`, these columns and the target."""
    cells: dict[str, Cell] = {"size": size, "width": width, **columns, "kind": target}
    return [list(cells), *([cell(row) for cell in cells.values()] for row in range(ROWS))]


def text(lines: list[list[str]], delimiter: str = ",") -> str:
    """Return lines of cells, none of which needs quotes."""
    return "".join(f"{delimiter.join(line)}\n" for line in lines)


def file(target: Cell = kind, **columns: Cell) -> bytes:
    header, *rows = table(target, **columns)
    return to_csv(header, rows)


def one(cell: Cell, expected: ColumnType, **more: object) -> Trouble:
    """Return a trouble of one column, `it`, that is used with this type."""
    return Trouble(file(it=cell), types={"it": expected}, **more)  # type: ignore[arg-type]


def out(cell: Cell, *reasons: str, said: tuple[str, ...] = ()) -> Trouble:
    """Return a trouble of one column, `it`, that is left out for one of these reasons."""
    return Trouble(file(it=cell), left_out={"it": reasons}, said=said)


def some(usual: Cell, *others: str) -> Cell:
    """Return cells of which the first rows have the other texts."""
    return lambda row: others[row] if row < len(others) else usual(row)


def either(*texts: str) -> Cell:
    return lambda row: texts[row * row % 7 % len(texts)]


def day(row: int) -> int:
    return 1 + row * 5 % 28


def sentence(row: int) -> str:
    return f"{WORDS[row % 8]} and {WORDS[row // 8 % 8]}, then {WORDS[row * 3 % 8]} on day {row}"


def price(row: int) -> float:
    return 900 + row * 41.5


COLUMNS: dict[str, Trouble] = {
    "text with few values": one(either("red", "green", "blue"), "categorical"),
    "a value seen once": one(some(either("red", "green"), "mauve"), "categorical"),
    "every spelling of a gap": one(
        some(width, "", "NA", "N/A", "null", "NULL", "NaN", "nan", "?", "-", "None"), "numeric"
    ),
    "two empty cells": one(some(width, "", ""), "numeric"),
    "gaps among texts": one(some(either("red", "green"), "", "?", "NA"), "categorical"),
    "True and False": one(either("True", "False"), "boolean"),
    "yes and no": one(either("yes", "no"), "boolean"),
    "Y and N": one(either("Y", "N"), "boolean"),
    "0 and 1": one(either("0", "1"), "boolean"),
    "yes and no with gaps": one(some(either("yes", "no"), "", "NA"), "boolean"),
    "ISO dates": one(lambda row: f"20{10 + row % 13}-0{1 + row % 9}-{day(row):02}", "datetime"),
    "ISO times": one(lambda row: f"2024-0{1 + row % 9}-{day(row):02}T{row % 24:02}:30:00", "datetime"),
    "dates with the day first": one(lambda row: f"{day(row):02}/0{1 + row % 9}/2024", "datetime"),
    "dates with the month first": one(lambda row: f"0{1 + row % 9}/{day(row):02}/2024", "datetime"),
    "dates of both orders": out(lambda row: f"0{1 + row % 9}/0{1 + row * 5 % 9}/2024", "ambiguous_date"),
    "dates of eight digits": one(
        lambda row: f"20{10 + row % 13}0{1 + row % 9}{day(row):02}", "datetime", said=("numeric reads them as numbers",)
    ),
    "dates of eight digits with gaps": one(some(lambda row: f"2024010{1 + row % 9}", "", "NA"), "datetime"),
    "dates of eight digits as pandas writes them": one(some(lambda row: f"2024010{1 + row % 9}.0", ""), "datetime"),
    "eight digits that are no dates": one(lambda row: f"2024{row * row % 17}{day(row):02}".ljust(8, "9"), "numeric"),
    "eight digits of two values": one(lambda row: f"2024010{1 + row % 2}", "numeric"),
    "thousands separators": one(lambda row: f"{price(row):,.2f}", "numeric"),
    "spaces between thousands": one(lambda row: f"{price(row) * 10:,.0f}".replace(",", " "), "numeric"),
    "dollars": one(lambda row: f"${price(row):,.2f}", "numeric"),
    "percent": one(lambda row: f"{row * 7 % 100} %", "numeric"),
    "row numbers": out(lambda row: str(row + 1), "row_number", "id"),
    "ids of text": out(lambda row: f"C-{row * 7919 % 10007}", "id"),
    "a constant": out(lambda row: "7", "constant"),
    "a constant text": out(lambda row: "AT", "constant"),
    "nothing but gaps": out(lambda row: "", "empty"),
    "free text": out(sentence, "free_text", "id"),
    "many values": out(lambda row: f"w{row * 7 % 60}", "too_many_values", "free_text", "id"),
    "free text that is wanted": Trouble(
        file(it=lambda row: f"w{row * 7 % 60}"),
        types={"it": "categorical"},
        options=DataOptions(types={"it": "categorical"}),
    ),
    "codes that are no quantities": Trouble(
        file(it=lambda row: str(10 + row % 4)),
        types={"it": "categorical"},
        options=DataOptions(types={"it": "categorical"}),
    ),
    "zip codes": one(either("01234", "98765", "00501"), "categorical", said=("numeric reads them as numbers",)),
    "zip codes of many towns": out(lambda row: f"{row * 1931 % 99991:05}", "id", said=("numeric reads them",)),
    "hours of the day": one(lambda row: f"0{row % 10}:30", "categorical"),
    "texts that differ in case": one(either("red", "Red", "green"), "categorical", said=("'Red'",)),
    "a copy of the target": one(kind, "boolean", said=("leakage_suspect",)),
    "a number that tells the class": one(
        lambda row: f"{row / 1000 + (5 if kind(row) == 'yes' else 0)}", "numeric", said=("leakage_suspect",)
    ),
    "a text that tells the class": one(lambda row: f"{kind(row)}-{row % 2}", "categorical", said=("leakage_suspect",)),
}

NUMBERS: dict[str, ColumnType] = {"size": "numeric", "width": "numeric"}
UNNAMED = [["", *table()[0]], *([str(row), *cells] for row, cells in enumerate(table()[1:]))]
NAMELESS = [["size", "width", "", "kind"], *table(it=either("red", "green"))[1:]]
TWICE = [["size", "width", "size ", "kind"], *table(it=width)[1:]]
ODD_NAMES = ["Größe in mm", "a.b \N{GRINNING FACE}", "n" * 200, "kind"]

SECTIONS = [["group", "size", "code", "kind"], ["group", "size", "id", "kind"]]
SECTIONS += [["Winter", size(row), width(row), kind(row)] for row in range(ROWS)]

HEADERS: dict[str, Trouble] = {
    "a name twice": Trouble(text(TWICE).encode(), said=("column 'size'", "columns 1 and 3"), fails=True),
    "odd names": Trouble(
        text([ODD_NAMES, *table(it=lambda row: f"{row % 11}.5")[1:]]).encode(),
        types={"Größe in mm": "numeric", "a.b \N{GRINNING FACE}": "numeric", "n" * 200: "numeric"},
    ),
    "an index without a name": Trouble(text(UNNAMED).encode(), left_out={"c1": ("no_name", "row_number", "id")}),
    "data without a name": Trouble(
        text(NAMELESS).encode(), types={"c3": "categorical"}, said=("column 3 has no name and is called c3",)
    ),
    "a comma too many in each line": Trouble(
        text([[*line, ""] for line in table()]).encode(), said=("without a name or a cell", "1 of 4 columns"), rows=ROWS
    ),
    "no names": Trouble(
        text(table()[1:]).encode(),
        types={"c1": "numeric", "c2": "numeric"},
        target="c3",
        said=("line 1 (0.0, 0.0, no...) is a row", "c1 to c3", "header=true"),
        rows=ROWS,
    ),
    "a title above": Trouble(
        b"Sales of all shops in spring\n" + file(),
        types=NUMBERS,
        said=("line 1 (Sales of all shops in spring): no row, left out as skip_rows=1 does; 0 keeps it",),
        rows=ROWS,
    ),
    "a comment above": Trouble(
        b"# exported by hand\n" + file(),
        types=NUMBERS,
        said=("line 1: comments, left out as comment=# does",),
        rows=ROWS,
    ),
    "units below": Trouble(
        text([table()[0], ["(mm)", "(cm)", "(-)"], *table()[1:]]).encode(),
        types=NUMBERS,
        said=("line 2 ((mm), (cm), (-)): no row, left out as skip_below=1 does; 0 keeps it",),
        rows=ROWS,
    ),
    "the header twice": Trouble(
        text([table()[0], *table()]).encode(),
        types=NUMBERS,
        said=("line 2 (size, width, kind): no row, left out as skip_below=1 does",),
        rows=ROWS,
    ),
    "the header again among the rows": Trouble(
        text([*table()[:41], table()[0], *table()[41:]]).encode(),
        types=NUMBERS,
        said=("line 42: the line of names again, which is no row",),
        rows=ROWS,
    ),
    "names above each section": Trouble(
        text([*SECTIONS[:2], *SECTIONS[2:42], ["Spring", *SECTIONS[1][1:]], *SECTIONS[42:]]).encode(),
        types={"size": "numeric", "code": "numeric"},
        said=("line 2 (group,", "line 43: the line of names again, which is no row"),
        left_out={"group": ("constant",)},
        rows=ROWS,
    ),
    "a total below": Trouble(
        file() + b"Total,1234.5,\n",
        types=NUMBERS,
        said=("at the end (Total,1234.5,): no row, left out as skip_footer=1 does; 0 keeps it",),
        rows=ROWS,
    ),
    "HTML": Trouble(b"<!DOCTYPE html>\n<html><body><table></table></body></html>\n", said=("HTML",), fails=True),
    "JSON": Trouble(b'[{"size": 1, "kind": "yes"}, {"size": 2, "kind": "no"}]\n', said=("JSON",), fails=True),
    "quotes behind backslashes": Trouble(
        file() + b'1,2,"y\\"e,s"\n' * 5,
        types=NUMBERS,
        said=('a quote inside quotes is written as \\" and read as a quote',),
        classes=frozenset({"yes", "no", 'y"e,s'}),
        rows=ROWS + 5,
    ),
}

TARGETS: dict[str, Trouble] = {
    "gaps": Trouble(
        file(some(kind, "", "NA", "?")),
        missing_targets=3,
        said=("3 of 80 rows have no target",),
        classes=frozenset({"yes", "no"}),
    ),
    "blanks around": Trouble(file(some(kind, " yes", "no ")), classes=frozenset({"yes", "no"})),
    "case": Trouble(
        file(lambda row: kind(row).upper() if row % 4 == 0 else kind(row)),
        classes=frozenset({"yes", "no", "YES", "NO"}),
        said=("'YES'",),
    ),
    "1 beside 1.0": Trouble(
        file(lambda row: ("1" if row % 2 else "1.0") if kind(row) == "yes" else "0"),
        classes=frozenset({"0", "1", "1.0"}),
        said=("'1.0'",),
    ),
    "a rare class": Trouble(
        file(some(kind, "perhaps", "perhaps")),
        classes=frozenset({"yes", "no"}),
        said=("2 rows of classes with fewer than 5 rows are left out: 'perhaps' (2); see rare_classes",),
        rows=ROWS - 2,
    ),
    "a rare class, refused": Trouble(
        file(some(kind, "perhaps", "perhaps")),
        fails=True,
        said=("'perhaps'",),
        options=DataOptions(rare_classes="refuse"),
    ),
    "rare classes, merged": Trouble(
        file(some(kind, *("perhaps" for _ in range(4)), *("never" for _ in range(4)))),
        classes=frozenset({"yes", "no", "other"}),
        options=DataOptions(rare_classes="merge"),
    ),
    "a quantity": Trouble(
        file(lambda row: f"{float(size(row)) * 3 + row % 5:.2f}"), said=("80 different numbers", "task = regression")
    ),
    "a quantity with gaps": Trouble(
        file(some(lambda row: f"{float(size(row)) * 3 + row % 5:.2f}", "NA", "")),
        missing_targets=2,
        said=("2 of 80 rows have no target",),
    ),
    "one class only": Trouble(
        file(lambda row: "yes"), said=("expected at least two classes, got only 'yes'",), fails=True
    ),
}

SEMICOLONS = text([[cell.replace(".", ",") for cell in line] for line in table()], ";")
CITIES = either("Köln", "Zürich", "Graz")

DIALECTS: dict[str, Trouble] = {
    "semicolons and decimal commas": Trouble(SEMICOLONS.encode(), types=NUMBERS),
    "tabs": Trouble(text(table(), "\t").encode(), types=NUMBERS),
    "bars": Trouble(text(table(), "|").encode(), types=NUMBERS),
    "single quotes": Trouble(
        text([[f"'{cell}'" for cell in line] for line in table(it=either("a, b", "c"))]).encode(),
        types={**NUMBERS, "it": "categorical"},
    ),
    "lines quoted as a whole": Trouble("".join(f'"{";".join(line)}"\n' for line in table()).encode(), types=NUMBERS),
    "a byte order mark": Trouble(b"\xef\xbb\xbf" + file(), types=NUMBERS),
    "UTF-16": Trouble(text(table(it=CITIES)).encode("utf-16"), types={**NUMBERS, "it": "categorical"}),
    "cp1252": Trouble(text(table(it=CITIES)).encode("cp1252"), types={"it": "categorical"}, said=("cp1252", "'Köln'")),
    "gzip": Trouble(gzip.compress(file(), mtime=0), types=NUMBERS),
    "old Mac line ends": Trouble(text(table()).replace("\n", "\r").encode(), types=NUMBERS),
    "Windows line ends": Trouble(text(table()).replace("\n", "\r\n").encode(), types=NUMBERS),
    "no line end at the end": Trouble(file().rstrip(b"\n"), types=NUMBERS),
    "quoted numbers": Trouble(
        "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in table()).encode(), types=NUMBERS
    ),
    "blanks around cells": Trouble(text([[f" {cell} " for cell in line] for line in table()]).encode(), types=NUMBERS),
}

TROUBLES: dict[str, Trouble] = {
    f"{group}: {name}": trouble
    for group, troubles in (("column", COLUMNS), ("header", HEADERS), ("target", TARGETS), ("dialect", DIALECTS))
    for name, trouble in troubles.items()
}
