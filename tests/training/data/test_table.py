from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from training.data.table import read_table
from training.errors import DatasetError

GOOD = "width,height,kind\n1,2.5,a\n3e2,-4,b\n"


def read(folder: Path, content: str | bytes, **changes: object) -> DatasetError | None:
    """Read a file of this content and return what was wrong with it."""
    (folder / "table.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        read_table(folder, "table.csv", "kind", **changes)  # type: ignore[arg-type]
    except DatasetError as error:
        return error
    return None


def test_a_table_has_features_numbers_labels_and_hash(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(GOOD)

    table = read_table(tmp_path, "table.csv", "kind")

    assert tuple(column.name for column in table.columns) == ("width", "height")
    assert table.x.tolist() == [[1.0, 2.5], [300.0, -4.0]]
    assert [table.values[code] for code in table.codes] == ["a", "b"]
    assert table.lines.tolist() == [2, 3]
    assert table.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()


def test_the_target_may_stand_anywhere_and_features_may_be_reordered(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("width,kind,height\n1,a,2\n")

    table = read_table(tmp_path, "table.csv", "kind", ("height", "width"))

    assert table.x.tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("digits", ["0.1", "0.30000000000000004", "1.7976931348623157e-38", "16777217", "3.4028234e38"])
def test_numbers_are_the_nearest_float32(tmp_path: Path, digits: str) -> None:
    (tmp_path / "table.csv").write_text(f"width,kind\n{digits},a\n")

    assert read_table(tmp_path, "table.csv", "kind").x[0, 0] == np.float32(float(digits))


@pytest.mark.parametrize("label", ["NA", "None", "nan", "1", "01", "true", " a b ", "ä"])
def test_a_class_is_the_text_in_the_file(tmp_path: Path, label: str) -> None:
    (tmp_path / "table.csv").write_text(f"width,kind\n1,{label}\n", "utf-8")

    assert read_table(tmp_path, "table.csv", "kind").values == (label,)


@pytest.mark.parametrize(
    "cell", ["", "n/a", "nan", "NaN", "inf", "-inf", "1e999", "1e39", "true", "2,5", "0x10", "1_000"]
)
def test_a_cell_that_is_no_finite_float32_is_named_by_line_and_column(tmp_path: Path, cell: str) -> None:
    error = read(tmp_path, f'width,height,kind\n1,2,a\n3,"{cell}",b\n')

    assert error is not None
    assert (error.file, error.line, error.column) == ("table.csv", 3, "height")
    assert error.reason == "bad_data"
    assert "finite number" in str(error)


def test_a_column_of_truth_values_is_no_number(tmp_path: Path) -> None:
    error = read(tmp_path, "width,height,kind\n1,True,a\n3,False,b\n")

    assert error is not None
    assert (error.line, error.column) == (None, "height")
    assert "is text, such as 'True': list the numeric features to use, or encode it" in str(error)


def test_an_empty_class_is_named_by_line(tmp_path: Path) -> None:
    error = read(tmp_path, "width,kind\n1,a\n2,\n")

    assert error is not None
    assert (error.line, error.column) == (3, "kind")


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("width,height\n1,2\n", "kind"),
        ("kind\na\n", None),
        ("width,width,kind\n1,2,a\n", "width"),
        ("", None),
        (f"{'w' * 201},kind\n1,a\n", None),
    ],
    ids=["no target", "nothing but the target", "a name twice", "empty file", "a name too long"],
)
def test_a_wrong_header_is_named(tmp_path: Path, content: str, column: str | None) -> None:
    error = read(tmp_path, content)

    assert error is not None
    assert error.column == column


def test_a_missing_feature_is_named(tmp_path: Path) -> None:
    error = read(tmp_path, GOOD, features=("width", "depth"))

    assert error is not None
    assert error.column == "depth"
    assert "'width', 'height', 'kind'" in str(error)


@pytest.mark.parametrize(
    "content",
    ["width,kind\n", "width,kind\n1,a,2\n3,b,4\n", "width,kind\n1,a\n3,b,4\n", b"\xff\n1"],
    ids=["no rows", "all rows longer", "one row longer", "header not UTF-8"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path, content) is not None


def test_a_row_that_is_too_short_is_refused(tmp_path: Path) -> None:
    error = read(tmp_path, "kind,width,height\na,1,2\nb,3\n")

    assert error is not None
    assert (error.line, error.column) == (3, None)
    assert "expected 3 cells as in the header, got 2" in str(error)


def test_the_first_ten_faults_are_named_by_line(tmp_path: Path) -> None:
    error = read(tmp_path, "width,height,kind\n" + "1,2,a\n1,,b\n" * 20)

    assert error is not None
    assert [(fault.line, fault.column) for fault in error.faults] == [(line, "height") for line in range(3, 23, 2)]
    assert str(error).count("got an empty cell") == 10


def test_faults_of_different_kinds_come_together(tmp_path: Path) -> None:
    error = read(tmp_path, "width,city,kind\n1,Ulm,a\nx,Bonn\n3,Ulm,\n4,Bonn,b\ninf,Ulm,b\n")

    assert error is not None
    assert [(fault.line, fault.column) for fault in error.faults] == [
        (None, "city"),
        (3, None),
        (4, "kind"),
        (6, "width"),
    ]


def test_a_class_column_with_very_many_values_is_no_class_column(tmp_path: Path) -> None:
    error = read(tmp_path, "width,kind\n" + "".join(f"1,{row / 7}\n" for row in range(101)))

    assert error is not None
    assert error.column == "kind"
    assert "expected at most 100 classes, got more" in str(error)


def test_more_classes_are_read_if_the_recipe_names_them(tmp_path: Path) -> None:
    assert read(tmp_path, "width,kind\n" + "".join(f"1,{row}\n" for row in range(101)), max_classes=101) is None


def test_numbers_with_a_comma_say_what_to_do(tmp_path: Path) -> None:
    error = read(tmp_path, 'width,kind\n"1,5",a\n"1,234.5",b\n')

    assert error is not None
    assert str(error).count("write a decimal point and no thousands separators") == 2


def test_a_file_longer_than_its_first_rows_promise_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.pieces.FIRST_BYTES", 200)
    monkeypatch.setattr("training.data.pieces.BLOCK_BYTES", 300)
    rows = [f"{row}.123456789,{-row},a" for row in range(10)] + [f"{row},0,b" for row in range(990)]
    (tmp_path / "table.csv").write_text("\n".join(["width,height,kind", *rows]))

    table = read_table(tmp_path, "table.csv", "kind")

    assert table.x[10:, 0].tolist() == list(range(990))
    assert np.bincount(table.codes).tolist() == [10, 990]
    assert table.lines.tolist() == list(range(2, 1002))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfwidth,kind\n1,a\n") is None


def test_blank_lines_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("\n\nwidth,kind\n\n1,a\n\n")

    assert read_table(tmp_path, "table.csv", "kind").x.tolist() == [[1.0]]


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv: no such file"):
        read_table(tmp_path, "nowhere.csv", "kind")
