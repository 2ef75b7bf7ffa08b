from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelstore import DataOptions, Dialect
from training.data.columns import Column
from training.data.table import Table, read_table
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
    assert [table.target.values[code] for code in table.target.codes] == ["a", "b"]
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


@pytest.mark.parametrize("label", ["1", "01", "true", "a b", "ä"])
def test_a_class_is_the_text_in_the_file(tmp_path: Path, label: str) -> None:
    (tmp_path / "table.csv").write_text(f"width,kind\n1,{label}\n", "utf-8")

    assert read_table(tmp_path, "table.csv", "kind").target.values == (label,)


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e999", "1e39"])
def test_a_cell_that_is_no_finite_float32_is_named_by_line_and_column(tmp_path: Path, cell: str) -> None:
    error = read(tmp_path, f'width,height,kind\n1,2,a\n3,"{cell}",b\n')

    assert error is not None
    assert (error.line, error.column) == (3, "height")
    assert str(error).startswith("table.csv, ")
    assert error.reason == "bad_data"
    assert "finite number" in str(error)


def typed(folder: Path, content: str, **types: str) -> Table:
    """Read a file of this content with these types."""
    (folder / "table.csv").write_text(content)
    return read_table(folder, "table.csv", "kind", options=DataOptions.model_validate({"types": types}))


@pytest.mark.parametrize(
    ("cells", "kind", "x"),
    [
        (["True", "False", "True"], "boolean", [[1], [0], [1]]),
        (["1", "0", ""], "boolean", [[1], [0], [math.nan]]),
        (["", "2.5", "?"], "numeric", [[math.nan], [2.5], [math.nan]]),
        (['"$1,234.50"', "$7", "$2"], "numeric", [[1234.5], [7], [2]]),
        (['"1,5"', '"2,25"', "3"], "numeric", [[1.5], [2.25], [3]]),
        (["1970-01-02", "", "1969-12-31 23:59:59"], "datetime", [[1, 0], [math.nan, math.nan], [-1, 86399]]),
        (["01234", "98765", "01234", "98765", "98765"], "categorical", [[0], [1], [0], [1], [1]]),
        (["0", "10", "0.5"], "numeric", [[0], [10], [0.5]]),
        (["02/01/1970", "13/01/1970", "01/01/1970"], "datetime", [[1, 0], [12, 0], [0, 0]]),
    ],
    ids=["words", "0 and 1", "gaps", "currency", "decimal comma", "dates", "codes", "no codes", "day first"],
)
def test_a_column_is_what_all_of_its_cells_are(
    tmp_path: Path, cells: list[str], kind: str, x: list[list[float]]
) -> None:
    table = typed(tmp_path, "c,kind\n" + "".join(f"{cell},a\n" for cell in cells))

    assert [column.type for column in table.columns] == [kind]
    np.testing.assert_array_equal(table.x, x)


def test_a_text_column_is_positions_in_its_texts_and_a_test_file_keeps_them(tmp_path: Path) -> None:
    table = typed(tmp_path, "c,kind\n" + "b,x\na ,y\n" * 3 + "NA,x\n")
    (tmp_path / "test.csv").write_text("c,kind\nnew,x\na,y\n")

    held_out = read_table(tmp_path, "test.csv", "kind", columns=table.columns)

    assert table.columns == (Column("c", "categorical", texts=("b", "a")),)
    np.testing.assert_array_equal(table.x.ravel(), [0, 1] * 3 + [math.nan])
    assert held_out.x.ravel().tolist() == [2, 1]


def test_zeros_and_ones_are_truth_values_however_they_are_written_and_read(tmp_path: Path) -> None:
    """pandas writes truth values beside gaps as 0.0 and 1.0."""
    content = "c,d,kind\n0,p,x\n1.0,q,y\n,p,x\n" + "0.0,p,x\n1,q,y\n" * 3
    (tmp_path / "test.csv").write_text("c,d,kind\n1.0,p,x\n0.0,q,y\n")

    table = typed(tmp_path, content)
    all_texts = read_table(tmp_path, "table.csv", "kind", options=DataOptions(missing_values=("", "99")))
    held_out = read_table(tmp_path, "test.csv", "kind", columns=table.columns)

    assert table.columns == all_texts.columns
    assert table.columns[0] == Column("c", "boolean", texts=("0", "1.0"))
    np.testing.assert_array_equal(table.x[:, 0], [0, 1, math.nan, *[0, 1] * 3])
    np.testing.assert_array_equal(table.x, all_texts.x)
    assert held_out.x[:, 0].tolist() == [1, 0]


def test_codes_are_found_wherever_the_first_zero_stands_and_may_be_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.pieces.FIRST_BYTES", 200)
    monkeypatch.setattr("training.data.pieces.BLOCK_BYTES", 200)
    content = "zip,x,kind\n" + "".join(f"{10000 + row % 7},{row % 5},a\n" for row in range(200)) + "01234,0,a\n" * 5

    (zip_code, number) = typed(tmp_path, content).columns
    as_number = typed(tmp_path, content, zip="numeric")

    assert (zip_code.type, number.type) == ("categorical", "numeric")
    assert zip_code.texts[-1] == "01234"
    assert as_number.columns[0] == Column("zip")
    assert as_number.x[-1].tolist() == [1234, 0]


@pytest.mark.parametrize(
    ("content", "reason", "asked"),
    [
        ("".join(f"{row},{row % 3},a\n" for row in range(1, 31)), "row_number", "numeric"),
        ("".join(f"u{row},{row % 3},a\n" for row in range(30)), "id", "categorical"),
        ("".join(f"w{row % 20},{row % 3},a\n" for row in range(30)), "too_many_values", "categorical"),
        ("".join(f"one two {row},{row % 3},a\n" for row in range(30)), "free_text", "categorical"),
        ("7,1,a\n7,2,b\n", "constant", "numeric"),
        (",1,a\nNA,2,b\n", "empty", None),
        ("03/04/2020,1,a\n05/06/2020,2,b\n", "ambiguous_date", None),
    ],
    ids=["row number", "id", "too many values", "free text", "constant", "empty", "ambiguous date"],
)
def test_a_column_that_says_nothing_is_left_out_with_the_reason_unless_its_type_is_given(
    tmp_path: Path, content: str, reason: str, asked: str | None
) -> None:
    table = typed(tmp_path, "c,x,kind\n" + content)

    assert [(column.name, column.reason) for column in table.left_out] == [("c", reason)]
    assert [column.name for column in table.columns] == ["x"]
    if asked:
        assert [column.name for column in typed(tmp_path, "c,x,kind\n" + content, c=asked).columns] == ["c", "x"]


@pytest.mark.parametrize("told", [{}, {"decimal": ","}], ids=["found", "told"])
def test_points_beside_decimal_commas_separate_thousands_and_that_is_said(
    tmp_path: Path, told: dict[str, object]
) -> None:
    (tmp_path / "table.csv").write_text("a;b;c;kind\n2,5;1.500;0.500;1.250\n3;12;1.250;2.000\n1,25;2.000;7;3.750\n")

    table = read_table(tmp_path, "table.csv", "kind", dialect=Dialect.model_validate(told))
    plain = read_table(tmp_path, "table.csv", "kind", dialect=Dialect(decimal="."))

    assert table.x.tolist() == [[2.5, 1500, 0.5], [3, 12, 1.25], [1.25, 2000, 7]]
    assert table.target.numbers is not None
    assert table.target.numbers.tolist() == [1250, 2000, 3750]
    said = "is read as 1500, because the file has decimal commas (decimal=,); decimal=. reads it as 1.5"
    assert f"table.csv, column 'b': '1.500' {said}" in table.warnings
    assert any("column 'kind': '1.250' is read as 1250" in warning for warning in table.warnings)
    assert not any("'c'" in warning for warning in table.warnings)
    assert plain.x[:, 1].tolist() == [1.5, 12, 2]
    assert plain.warnings == ()


def test_an_ambiguous_date_that_is_asked_for_names_both_readings(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="day/month/year or month/day/year"):
        typed(tmp_path, "c,x,kind\n03/04/2020,1,a\n05/06/2020,2,b\n", c="datetime")


def test_a_type_that_a_cell_does_not_have_is_a_fault_by_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        typed(tmp_path, "c,x,kind\n1,1,a\nUlm,2,b\n", c="numeric")

    assert (caught.value.line, caught.value.column) == (3, "c")


def test_columns_that_were_not_chosen_are_named_and_many_are_one_entry(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(22)]
    (tmp_path / "table.csv").write_text(",".join([*names, "kind"]) + "\n" + "1," * 22 + "a\n" + "2," * 22 + "b\n")

    few = read_table(tmp_path, "table.csv", "kind", names[:20]).left_out
    many = read_table(tmp_path, "table.csv", "kind", names[:1]).left_out

    assert [(column.name, column.reason) for column in few] == [("c20", "not_chosen"), ("c21", "not_chosen")]
    assert [(column.name, column.reason) for column in many] == [("21 columns", "not_chosen")]


def test_a_row_has_the_same_mark_in_a_longer_and_shuffled_file(tmp_path: Path) -> None:
    rows = [f"{row},t{row % 4},2020-01-0{1 + row % 9},{'ab'[row % 2]}\n" for row in (5, 3, 8, 1, 9, 2)]

    short = typed(tmp_path, "x,c,d,kind\n" + "".join(rows * 2))
    long = typed(tmp_path, "x,c,d,kind\n" + "7.5,new,2021-01-01,a\n" * 4 + "".join(reversed(rows * 3)))

    assert len(set(short.marks.tolist())) == 6
    assert set(short.marks.tolist()) < set(long.marks.tolist())


def marks(folder: Path, rows: int, columns: str = "n,x,w,id,c", **changes: object) -> tuple[set[int], Table]:
    """Return the marks of the first rows of a table: a counter, numbers, texts, ids, few values."""
    cells: dict[str, Callable[[int], str]] = {
        "n": lambda row: str(row + 1),
        "x": lambda row: f"{row * row % 37 / 2}",
        "w": lambda row: f"w{row * 5 % 11}" if row % 7 else f"{row % 5}",
        "id": lambda row: f"u{rows - row}",
        "c": lambda row: "ab"[row % 2],
        "kind": lambda row: "yn"[row % 3 // 2],
    }
    names = [*columns.split(","), "kind"]
    lines = [",".join(cells[name](row) for name in names) for row in range(rows)]
    (folder / "table.csv").write_text("\n".join([",".join(names), *lines, ""]))
    table = read_table(folder, "table.csv", "kind", **changes)  # type: ignore[arg-type]
    return set(table.marks.tolist()), table


def test_a_row_keeps_its_mark_whatever_becomes_of_the_columns(tmp_path: Path) -> None:
    short, before = marks(tmp_path, 12)
    long, after = marks(tmp_path, 400)

    roles = [{column.name for column in table.columns} for table in (before, after)]
    assert roles[0] != roles[1]  # "w" has few rows for its texts in the short file
    assert short < long
    assert before.marked == after.marked == ("c", "w", "x")
    assert marks(tmp_path, 400, "x,id,c,w,n")[0] == long
    assert marks(tmp_path, 400, features=("x",))[0] == long
    assert marks(tmp_path, 400, options=DataOptions(types={"x": "categorical", "w": "categorical"}))[0] == long
    assert marks(tmp_path, 400, "x,c,id,n")[0].isdisjoint(long)


def test_rows_are_the_same_that_differ_in_labels_only_and_ids_count_where_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(
        "id,n,x,kind\n" + "".join(f"{7 * row % 40},{row},{row % 5},a\n" for row in range(40))
    )

    assert len(set(read_table(tmp_path, "table.csv", "kind").marks.tolist())) == 5
    options = DataOptions(types={"id": "numeric"})
    (tmp_path / "table.csv").write_text("id,kind\n" + "".join(f"{7 * row % 40},a\n" for row in range(40)))
    assert len(set(read_table(tmp_path, "table.csv", "kind", options=options).marks.tolist())) == 40


def test_rows_of_a_test_file_have_the_marks_of_the_training_file(tmp_path: Path) -> None:
    long, table = marks(tmp_path, 400)
    _, held_out = marks(tmp_path, 30, columns="n,x,w,id,c", marked=table.marked)

    assert set(held_out.marks.tolist()) < long


def test_a_missing_target_has_no_code_and_quantities_are_numbers(tmp_path: Path) -> None:
    target = typed(tmp_path, "x,kind\n1,1.5\n2,\n3,2\n").target

    assert (target.codes.tolist(), target.values) == ([0, -1, 1], ("1.5", "2"))
    np.testing.assert_array_equal(target.numbers, [1.5, math.nan, 2])


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
    error = read(tmp_path, "width,height,kind\n" + "1,2,a\n1,inf,b\n" * 20)

    assert error is not None
    assert [(fault.line, fault.column) for fault in error.faults] == [(line, "height") for line in range(3, 23, 2)]


def test_a_file_longer_than_its_first_rows_promise_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.pieces.FIRST_BYTES", 200)
    monkeypatch.setattr("training.data.pieces.BLOCK_BYTES", 300)
    rows = [f"{row}.123456789,{-row},a" for row in range(10)] + [f"{row},0,b" for row in range(990)]
    (tmp_path / "table.csv").write_text("\n".join(["width,height,kind", *rows]))

    table = read_table(tmp_path, "table.csv", "kind")

    assert table.x[10:, 0].tolist() == list(range(990))
    assert np.bincount(table.target.codes).tolist() == [10, 990]
    assert table.lines.tolist() == list(range(2, 1002))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfwidth,kind\n1,a\n") is None


def test_blank_lines_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("\n\nwidth,kind\n\n1,a\n\n")

    assert read_table(tmp_path, "table.csv", "kind").x.tolist() == [[1.0]]


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv: no such file"):
        read_table(tmp_path, "nowhere.csv", "kind")


@pytest.mark.parametrize("options", [DataOptions(types={"twon": "categorical"}), DataOptions(optional=("twon",))])
def test_a_column_that_an_option_names_must_be_there(tmp_path: Path, options: DataOptions) -> None:
    error = read(tmp_path, "town,age,kind\n1,2,a\n3,4,b\n", options=options)

    assert error is not None
    assert (error.faults[0].column, "perhaps 'town' is meant" in error.faults[0].problem) == ("twon", True)
