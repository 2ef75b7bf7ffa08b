"""Goals on published tables: what counts as reached."""

from __future__ import annotations

import pytest

from benchmarks.quality import published, tables
from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.standings import Standings


def found(file: str, system: str = "auto", **figures: object) -> Finding:
    return Finding.model_validate({"cell": Cell(file=file, system=system, seed=0), "losses": (4.0, 4.0), **figures})


@pytest.mark.parametrize(("accuracy", "reached"), [(0.955, "yes"), (0.954, "no")])
def test_an_accuracy_has_to_reach_its_goal(accuracy: float, reached: str) -> None:
    text = published.write(Standings([found("mlc_churn.csv", accuracy=accuracy)], ["auto"]))
    assert f"| accuracy at least 0.955 | {accuracy:.4f} ± " in text
    assert f" | {reached} | " in text


@pytest.mark.parametrize(("boosting", "reached"), [(2.0, "yes"), (1.9, "no")])
def test_wages_are_judged_by_boosting_on_the_same_rows(boosting: float, reached: str) -> None:
    beside = found("CPS1988.csv", "boosting", task="regression", losses=(boosting**2, boosting**2))
    ours = found("CPS1988.csv", task="regression")  # squared errors of 4: an RMSE of 2
    text = published.write(Standings([ours, beside], ["auto", "boosting"]))
    assert f"| RMSE at most {boosting * 1.01:.1f} | 2.0 ± 0.0 | {reached} |" in text


def test_published_tables_are_found_by_name_and_left_out_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("published")
    monkeypatch.setattr(published, "FOLDER", folder)
    (folder / "magic.csv").write_text("a1,class\n1,g\n")
    assert tables.names(["magic.csv"]) == ("magic.csv",)
    assert "magic.csv" not in tables.names()
    assert tables.find("magic.csv", folder).target == "class"
    with pytest.raises(tables.UnknownTable, match=r"'spambase\.csv' is no table here"):
        tables.names(["spambase.csv"])
