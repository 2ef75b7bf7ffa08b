"""Whole files are answered like requests, in parts that an interruption does not undo."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from app.inference.codecs.columns import OUT_OF_RANGE
from app.scoring import run
from app.scoring.errors import ScoringError
from app.scoring.run import Progress, beside
from modelstore import ModelRepository
from tests.app.scoring.samples import score, table_of, text_of, wanted, write_rows
from tests.fakes import publish

INPUTS = (
    "rows.parquet",
    "rows.arrow",
    "rows.arrows",
    "compressed.arrow",
    "rows.csv",
    "rows.csv.gz",
    "rows.ndjson",
    "rows.jsonl.gz",
)


def asked_of(client: TestClient, body: bytes, kind: str, query: str = "") -> bytes:
    answer = client.post(f"/predict/means{query}", content=body, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    return answer.content


def answered(client: TestClient, table: pa.Table, query: str = "") -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    kind = "application/vnd.apache.arrow.stream"
    return pa.ipc.open_stream(asked_of(client, sink.getvalue().to_pybytes(), kind, query)).read_all()


@pytest.mark.parametrize("name", INPUTS)
def test_each_format_is_answered_with_the_bits_of_a_request(
    steady: TestClient, repository: ModelRepository, tmp_path: Path, name: str
) -> None:
    publish(repository)
    rows = write_rows(tmp_path / name)
    record = score(repository, rows, tmp_path / "out.parquet")

    assert pq.read_table(tmp_path / "out.parquet").equals(answered(steady, table_of(400)))
    assert (record["rows"], record["rows_with_error"]) == (400, 0)
    assert record["parts"] > 3


@pytest.mark.parametrize(("name", "kind"), [("out.csv", "text/csv"), ("out.ndjson", "application/x-ndjson")])
@pytest.mark.parametrize("skip", [False, True])
def test_lines_are_those_of_a_request(
    steady: TestClient, repository: ModelRepository, tmp_path: Path, name: str, kind: str, skip: bool
) -> None:
    publish(repository)
    rows = write_rows(tmp_path / name.replace("out", "rows"))
    if skip:
        rows.write_bytes(rows.read_bytes().replace(b"0.25", b'"oops"'))
    record = score(repository, rows, tmp_path / name, skip=skip)

    query = "?on_error=skip" if skip else ""
    assert (tmp_path / name).read_bytes() == asked_of(steady, rows.read_bytes(), kind, query)
    assert (record["rows_with_error"] > 0) == skip


def test_arrow_and_what_is_added_are_those_of_a_request(
    steady: TestClient, repository: ModelRepository, tmp_path: Path
) -> None:
    publish(repository)
    rows = write_rows(tmp_path / "rows.parquet")
    score(repository, rows, tmp_path / "out.arrow", threshold=0.25)

    found = pa.ipc.open_file(str(tmp_path / "out.arrow")).read_all()
    assert found.equals(answered(steady, table_of(400), "?threshold=0.25"), check_metadata=True)


def test_a_bad_row_has_an_error_in_place_of_an_answer(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    left = pa.array([0.5, float("inf"), 0.25], pa.float32())
    pq.write_table(pa.table({"left": left, "right": left}), tmp_path / "rows.parquet")
    record = score(repository, tmp_path / "rows.parquet", tmp_path / "out.parquet", skip=True)

    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert found["label"] == ["low", None, "low"]
    assert found["probability_low"] == [0.5, None, 0.75]
    assert found["error"] == [None, f"left: {OUT_OF_RANGE}", None]
    assert record["first_errors"] == [f"{tmp_path}/rows.parquet, row 1: left: {OUT_OF_RANGE}"]


def test_a_bad_row_ends_the_run_and_is_named_with_its_file_and_line(
    repository: ModelRepository, tmp_path: Path
) -> None:
    publish(repository)
    rows = tmp_path / "rows.csv"
    rows.write_bytes(text_of(table_of(50), "rows.csv") + b"0.5,oops\n")

    with pytest.raises(ScoringError, match=r"rows\.csv: line 52, column 'left': .* --on-error skip"):
        score(repository, rows, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_version_that_gives_receipts_gives_none_so_the_same_file_has_the_same_answers(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository, receipts=True)
    rows = write_rows(tmp_path / "rows.csv", rows=20)
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    for name in ("first.csv", "second.csv"):
        score(repository, rows, tmp_path / name)

    answers = (tmp_path / "first.csv").read_text()
    assert answers.splitlines()[0] == "label,probability,probability_low,probability_high"
    assert answers == (tmp_path / "second.csv").read_text()
    assert list(Path().iterdir()) == []  # no key


def test_a_run_that_was_interrupted_goes_on_with_the_parts_that_it_has(
    repository: ModelRepository, tmp_path: Path
) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.parquet"
    score(repository, rows, tmp_path / "whole.parquet")

    def stop(progress: Progress) -> None:
        if progress.parts == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.score(wanted(repository, rows, output), stop)
    kept = beside(output, "parts")
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.answers")}
    seen: dict[str, int] = {}

    def look(_progress: Progress) -> None:
        seen.update({path.name: path.stat().st_mtime_ns for path in kept.glob("*.answers")})

    record = run.score(wanted(repository, rows, output), look)
    assert len(before) == record["parts_of_earlier_runs"] == 7
    assert {name: seen[name] for name in before} == before
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not kept.exists()


def test_a_run_that_has_ended_is_not_done_again(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    first = score(repository, rows, output)
    at = output.stat().st_mtime_ns

    assert score(repository, rows, output) == first
    assert output.stat().st_mtime_ns == at
    rows.write_bytes(rows.read_bytes() + b"1,1\n")
    with pytest.raises(ScoringError, match=r"is there already .* another files"):
        score(repository, rows, output)
    assert score(repository, rows, output, overwrite=True)["rows"] == 401


def test_overwrite_replaces_an_output_of_the_same_plan_too(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    score(repository, rows, output)
    whole = output.read_bytes()
    output.write_bytes(b"damaged")

    assert score(repository, rows, output, overwrite=True)["rows"] == 400
    assert output.read_bytes() == whole


def test_an_output_that_is_replaced_is_never_taken_for_the_new_one(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    score(repository, rows, output)
    rows.write_bytes(rows.read_bytes() + b"1,1\n")

    def die(aside: Path, path: Path) -> None:
        raise KeyboardInterrupt(aside, path)

    with monkeypatch.context() as patch:
        patch.setattr(run, "settle", die)  # the last step of a run; parts have their own
        with pytest.raises(KeyboardInterrupt):
            score(repository, rows, output, overwrite=True)
    assert score(repository, rows, output)["rows"] == 401
    assert len(output.read_bytes().splitlines()) == 402


@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_scored_is_named_and_its_rows_are_not_mixed(
    repository: ModelRepository, tmp_path: Path, change: str
) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    score(repository, rows, tmp_path / "whole.csv")
    before, other = rows.read_bytes(), tmp_path / "other.csv"
    other.write_bytes(before.replace(b"0.2", b"0.3"))

    def interfere(progress: Progress) -> None:
        if progress.parts == 2:
            if change == "written":
                rows.write_bytes(other.read_bytes())
            elif change == "replaced":
                other.replace(rows)
            else:
                rows.unlink()

    with pytest.raises(ScoringError, match=r"rows\.csv: was written, replaced or removed while it was scored"):
        run.score(wanted(repository, rows, output), interfere)
    assert not output.exists()

    rows.write_bytes(before)
    assert score(repository, rows, output)["parts_of_earlier_runs"] == 2
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parts_of_another_run_are_not_mixed_in(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "out.csv"
    with pytest.raises(IndexError):
        run.score(wanted(repository, rows, output), lambda progress: [][progress.parts // 3])

    with pytest.raises(ScoringError, match=r"out.csv.parts: holds a run .* another options; .* --overwrite"):
        score(repository, rows, output, strict=True)
    assert score(repository, rows, output, strict=True, overwrite=True)["parts_of_earlier_runs"] == 0


def test_the_manifest_and_the_record_lie_beside_the_output(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    output = tmp_path / "out.csv"
    record = score(repository, write_rows(tmp_path / "rows.ndjson"), output)

    version = repository.root / "means" / "1"
    assert beside(output, "manifest.json").read_bytes() == (version / "manifest.json").read_bytes()
    assert json.loads(beside(output, "score.json").read_bytes()) == record
    assert record["plan"]["engine"] == "cpu"


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.ndjson", "rows.arrows"])
def test_no_rows_are_answered_with_none(repository: ModelRepository, tmp_path: Path, name: str) -> None:
    publish(repository)
    rows = write_rows(tmp_path / name, rows=0)

    assert score(repository, rows, tmp_path / "out.parquet")["rows"] == 0
    assert pq.read_table(tmp_path / "out.parquet").column_names[:2] == ["label", "probability"]


@pytest.mark.parametrize("text", [b"left,right\r0.5,0.25\r0.5,0.5\r", b"left,right"], ids=["CR alone", "no line end"])
def test_a_header_may_end_with_a_carriage_return_or_the_file(
    repository: ModelRepository, tmp_path: Path, text: bytes
) -> None:
    publish(repository)
    rows, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_bytes(text)

    assert score(repository, rows, output, part_bytes=9)["rows"] == text.count(b"0.5,")


WRONG = [
    ("rows.csv", "out.xls", r"out.xls: expected a name that ends in .parquet, .csv"),
    ("rows.csv", "no/out.csv", r"the folder .* does not exist"),
    ("rwos.csv", "out.csv", r"there is no such file; did you mean rows.csv\?"),
]


@pytest.mark.parametrize(("name", "output", "problem"), WRONG)
def test_what_is_wrong_is_said(
    repository: ModelRepository, tmp_path: Path, name: str, output: str, problem: str
) -> None:
    publish(repository)
    write_rows(tmp_path / "rows.csv")

    with pytest.raises(ScoringError, match=problem):
        score(repository, tmp_path / name, tmp_path / output)


def test_columns_that_the_version_lacks_are_named(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)
    for name in ("rows.parquet", "rows.csv", "rows.arrow"):
        rows = write_rows(tmp_path / name)
        if name == "rows.csv":
            rows.write_bytes(rows.read_bytes().replace(b"left", b"lfet"))
        elif name == "rows.parquet":
            pq.write_table(table_of(10).rename_columns(["right", "lfet"]), rows)
        else:
            with pa.ipc.new_file(str(rows), pa.schema([("lfet", pa.float32()), ("right", pa.float32())])):
                pass
        with pytest.raises(ScoringError, match=rf"{name}: .*column 'left'.* is missing"):
            score(repository, rows, tmp_path / f"{name}.csv")
