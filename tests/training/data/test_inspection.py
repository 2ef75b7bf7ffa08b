from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from typer.testing import CliRunner

from modelstore import MISSING_VALUES, DataOptions, DatasetSummary, Dialect, Histogram, Inspection
from modelstore.dialect import USUAL
from tests.properties import examples
from tests.training.samples import DATA, PROJECT
from training.cli.commands import app
from training.data import inspection, pieces, profile, scan
from training.data.inspection import inspect_file
from training.data.table import read_table


def look(folder: Path, content: str | bytes) -> Inspection:
    path = folder / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return inspect_file(path)


def summary(folder: Path, content: str) -> DatasetSummary:
    found = look(folder, content).summary
    assert found is not None
    return found


def test_a_good_file_is_summed_up() -> None:
    path = DATA / "iris.csv"

    found = inspect_file(path).summary

    assert found is not None
    assert (found.rows, found.size_bytes) == (150, path.stat().st_size)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(column.name, column.type) for column in found.columns[3:]] == [
        ("petal width (cm)", "numeric"),
        ("species", "categorical"),
    ]
    assert found.columns[4].classes == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert (found.columns[0].minimum, found.columns[0].maximum, found.columns[0].distinct) == (4.3, 7.9, 35)
    assert found.duplicate_rows == 1  # rows 102 and 143 of Fisher's data
    assert found.warnings == ("1 of 150 rows repeat another one",)


def test_values_stand_as_in_the_file_and_in_class_order(tmp_path: Path) -> None:
    found = summary(tmp_path, "code,x\n10,1\n01,2\n2.50,3\n01,4\n")

    assert list(found.columns[0].classes.items()) == [("01", 2), ("2.50", 1), ("10", 1)]
    assert (found.columns[0].type, found.columns[0].minimum, found.columns[0].maximum) == ("numeric", 1.0, 10.0)


def test_more_than_a_hundred_values_are_not_listed_and_the_range_is_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 256)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 256)
    rows = [f"{row - 40},{'ab'[row % 2]},word {row}" for row in range(300)]

    numbers, few, words = summary(tmp_path, "\n".join(["x,kind,text", *rows, *rows[:3]])).columns

    assert (numbers.distinct, numbers.classes, numbers.type) == (None, {}, "numeric")
    assert (numbers.minimum, numbers.maximum) == (-40, 259)
    assert few.classes == {"a": 152, "b": 151}
    assert (words.distinct, words.type) == (300, "categorical")


def test_a_column_that_is_text_because_of_one_cell_says_which(tmp_path: Path) -> None:
    found = summary(tmp_path, "age,x\n" + "5,1\n" * 8 + "unknown,2\nn/a,2\n")

    assert found.columns[0].type == "categorical"
    assert (
        "column 'age': is text, because 2 of 10 cells are no numbers, first 'unknown' in line 10" in found.warnings[0]
    )


def test_gaps_are_counted_and_the_column_is_what_its_other_cells_are(tmp_path: Path) -> None:
    found = summary(tmp_path, "a,b,c,d\n1,NA,2020-01-02,\n2.5,yes,,\n,no,2019-05-06 07:08,\n")

    assert [(column.type, column.missing, column.left_out) for column in found.columns] == [
        ("numeric", 1, None),
        ("boolean", 1, None),
        ("datetime", 1, None),
        ("numeric", 3, "empty"),
    ]
    assert (found.columns[2].minimum, found.columns[2].maximum) == ("2019-05-06T07:08:00", "2020-01-02T00:00:00")


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("a,b\n1,7\n2,7\n", "column 'b': left out (constant)"),
        ("a\n1\n2\n", "only one column"),
        ("0,1\n1,2\n3,4\n", "is the line of names missing?"),
        ("a,b\n1,2\n1,2\n1,2\n", "2 of 3 rows repeat another one"),
        ("a,b\n1,2020-01-01\n2,2020-01-02\n", "column 'b': holds dates"),
        ("a,user_id\n" + "".join(f"1,u{row % 25}\n" for row in range(60)), "split: group"),
    ],
    ids=["constant", "one column", "numbers as names", "duplicates", "dates", "repeated ids"],
)
def test_what_is_odd_but_readable_is_a_warning(tmp_path: Path, content: str, warning: str) -> None:
    assert any(warning in sentence for sentence in summary(tmp_path, content).warnings)


def test_faults_have_line_and_column(tmp_path: Path) -> None:
    found = look(tmp_path, 'a,b\n1,"x\ny"\n1\n2,3\n4,5,6\n')

    assert found.summary is None
    assert [(fault.line, fault.column) for fault in found.faults] == [(4, None), (6, None)]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (fault,) = inspect_file(tmp_path / "nowhere.csv").faults

    assert "cannot be read: No such file" in fault.problem


def test_the_command_prints_one_line_of_json_and_its_exit_code_says_whether_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1\n")

    good = CliRunner().invoke(app, ["inspect", str(DATA / "iris.csv"), "--json"])
    table = CliRunner().invoke(app, ["inspect", str(DATA / "iris.csv")])
    bad = CliRunner().invoke(app, ["inspect", str(tmp_path / "bad.csv")])

    assert (good.exit_code, good.stderr, good.stdout.count("\n")) == (0, "", 1)
    assert Inspection.model_validate_json(good.stdout) == inspect_file(DATA / "iris.csv")
    assert "150 rows" in table.stdout
    assert (bad.exit_code, bad.stdout) == (1, "bad.csv, line 2: expected 2 cells as in the header, got 1\n")


@pytest.mark.slow
def test_a_look_imports_neither_torch_nor_scikit_learn() -> None:
    script = (
        "import sys, training.cli.commands, training.data.inspection; print({'torch', 'sklearn'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_the_dialect_that_was_found_is_complete_and_shown_where_it_is_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("a;größe\n1,5;x\n2,5;y\n3,25;x\n".encode("cp1252"))
    found = inspect_file(path).summary

    assert found is not None
    assert found.dialect == USUAL.model_copy(update={"delimiter": ";", "decimal": ",", "encoding": "cp1252"})
    shown = CliRunner().invoke(app, ["inspect", str(path)]).stdout
    assert 'dialect: delimiter=";", decimal=",", encoding="cp1252"\n' in shown
    assert "dialect" not in CliRunner().invoke(app, ["inspect", str(DATA / "iris.csv")]).stdout


def test_values_with_a_decimal_comma_that_become_equal_in_float32_are_named(tmp_path: Path) -> None:
    rows = "".join(f"16777216,{row}5;{'xy'[row % 2]}\n" for row in range(10))
    (tmp_path / "mine.csv").write_text(f"a;b\n{rows}")

    found = inspect_file(tmp_path / "mine.csv", dialect=Dialect(delimiter=";", decimal=",")).summary

    assert found is not None
    assert any("different values become equal in float32" in warning for warning in found.warnings)


def test_a_library_that_is_missing_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it was not installed
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1" + bytes(100))

    looked = CliRunner().invoke(app, ["inspect", str(path)])
    fitted = CliRunner().invoke(app, ["fit", "--data", str(path), "--target", "y", "--models-dir", str(tmp_path)])

    problem = "a Parquet or Arrow file needs an optional library; install it with: pip install 'tabserve[arrow]'"
    assert (looked.exit_code, looked.stdout) == (1, f"mine.parquet: {problem}\n")
    assert (fitted.exit_code, fitted.stderr) == (2, f"failed: {problem}\n")


def test_comments_above_and_among_the_rows_are_named_by_line(tmp_path: Path) -> None:
    found = summary(tmp_path, "# by hand\na,b\n1,2\n# half of it\n3,4\n5,7\n")

    assert found.rows == 3
    assert found.warnings[:1] == ("2 lines, the first is line 1: comments, left out as comment=# does",)


def test_measured_values_that_are_written_in_two_ways_are_no_classes(tmp_path: Path) -> None:
    assert summary(tmp_path, "a,b\n38.50,1\n38.5,2\n39,4\n").warnings == ()
    assert "'1' and '1.0'" in summary(tmp_path, "a,b\n1,1\n1.0,2\n0,4\n").warnings[0]


def test_a_column_is_read_with_the_decimal_separator_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a;b;c\n1,5;1,500;x\n2,5;2,500;y\n3,25;3,125;x\n")

    found = inspect_file(tmp_path / "mine.csv").summary

    assert found is not None
    assert [(column.minimum, column.maximum) for column in found.columns[:2]] == [(1.5, 3.25), (1.5, 3.125)]


def test_codes_with_leading_zeros_are_shown_as_texts_with_the_range_of_their_numbers(tmp_path: Path) -> None:
    content = "zip,x\n" + "".join(f"{row % 150:05},{row % 7 / 2}\n" for row in range(600))

    found = look(tmp_path, content).summary

    assert found is not None
    code = found.columns[0]
    assert (code.type, code.note, code.minimum, code.maximum) == ("categorical", "codes with leading zeros", 0, 149)
    assert code.classes["00007"] == 4
    assert any("'zip': is text, because all cells are digits" in warning for warning in found.warnings)
    assert look(tmp_path, content.replace("00000", "x")).summary is not None


@pytest.mark.parametrize("cell", ["inf", "-1e39"])
def test_a_number_that_a_training_refuses_is_named(tmp_path: Path, cell: str) -> None:
    few, many = (
        look(tmp_path, "a,b\n" + "".join(f"{row * row % 997},1.5\n" for row in range(n)) + f"{cell},2\n")
        for n in (5, 300)
    )

    for found in (few.summary, many.summary):
        assert found is not None
        assert any(said.startswith("column 'a': holds numbers beyond float32") for said in found.warnings)
        assert not any("'b'" in warning for warning in found.warnings)


def test_numbers_and_dates_of_any_number_have_a_histogram_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 512)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 512)
    monkeypatch.setattr(profile, "MAX_TEXTS", 150)
    monkeypatch.setattr(scan, "MAX_TEXTS", 150)
    first = datetime(2024, 1, 1)
    rows = [
        f'{row},{row % 4},"{row},{row % 1000:03}",{(first + timedelta(hours=8 * row)).isoformat()},{"ab"[row % 2]}\n'
        for row in range(2, 602)
    ]

    many, few, grouped, moments, text = summary(tmp_path, "x,few,grouped,at,kind\n" + "".join(rows) + ",,,,a\n").columns

    assert many.histogram == Histogram(edges=(0, 100, 200, 300, 400, 500, 600, 700), rows=(98, *[100] * 5, 2))
    assert few.histogram == Histogram(edges=(0, 1, 2, 3, 4), rows=(150,) * 4)
    assert grouped.histogram is not None
    assert (grouped.distinct, sum(grouped.histogram.rows), grouped.histogram.edges[1]) == (600, 600, 100_000)
    assert moments.histogram is not None
    assert moments.histogram.edges[0] == "2023-12-29", "986 times 20 days after 1970"
    assert sum(moments.histogram.rows) == 600
    assert moments.histogram.rows[1:-1] == (60,) * (len(moments.histogram.rows) - 2)
    assert text.histogram is None


def test_dates_up_to_the_last_of_all_are_summed_up(tmp_path: Path) -> None:
    days = "".join(f"2024-{1 + row % 12:02}-05,{row % 7}\n" for row in range(59))

    until = summary(tmp_path, f"until,x\n{days}9999-12-31,1\n").columns[0]

    assert (until.type, until.minimum, until.maximum) == ("datetime", "2024-01-05T00:00:00", "9999-12-31T00:00:00")
    assert until.histogram is not None
    assert (until.histogram.edges[-1], sum(until.histogram.rows)) == ("9999-12-31T23:59:59", 60)


NUMBERS = [
    "0",
    "1",
    "0.0",
    "1.0",
    "-0",
    "2",
    "-1",
    "1e3",
    "0.5",
    "1,5",
    "0,0",
    "1,0",
    "1,500",
    "$1",
    "15%",
    "007",
    "01",
]
OTHERS = ["", "NA", "?", "true", "FALSE", "yes", "no", "x", "20240131", "20240131.0", "2024-01-31", "31/01/2024"]
FEW, BITS = (
    st.lists(st.sampled_from(texts), min_size=1, max_size=4, unique=True)
    for texts in ([*NUMBERS, *OTHERS], [*NUMBERS[:5], ""])
)
PICKED = (FEW | BITS).flatmap(lambda texts: st.lists(st.sampled_from(texts), min_size=5, max_size=60))
COUNTED = st.builds(
    lambda first, step, tail, rows: [f"{first + step * row}{tail}" for row in range(rows)],
    st.integers(-3, 200), st.sampled_from([1, 2, 700]), st.sampled_from(["", ".0", ".5"]), st.integers(5, 60),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("small", [False, True])
def test_columns_have_the_types_of_a_training_which_reads_numbers_and_of_one_that_reads_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if small:  # several blocks; of more than three different numbers, texts first
        for name, value in (("FIRST_BYTES", 64), ("BLOCK_BYTES", 64), ("TAIL_BYTES", 32)):
            monkeypatch.setattr(pieces, name, value)
        monkeypatch.setattr(inspection, "MAX_CLASSES", 3)
    all_texts = DataOptions(missing_values=(*MISSING_VALUES, "987654321"))

    @examples(100)
    @hypothesis.given(PICKED | COUNTED | COUNTED.flatmap(st.permutations), st.sampled_from(["it", "id"]))
    def look_at(cells: list[str], name: str) -> None:
        rows = "".join(f'"{cell}",{row % 7}.5,{"ab"[row % 2]}\n' for row, cell in enumerate(cells))
        column = summary(tmp_path, f"{name},other,kind\n{rows}").columns[0]
        table, same = (
            read_table(tmp_path, "mine.csv", "kind", options=options) for options in (DataOptions(), all_texts)
        )

        assert (table.columns, table.left_out, table.warnings) == (same.columns, same.left_out, same.warnings)
        types = {one.name: (one.type, None) for one in table.columns} | {
            one.name: (column.type, one.reason) for one in table.left_out
        }
        assert (column.type, column.left_out) == types[name]

    look_at()
