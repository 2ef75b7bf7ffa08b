"""Goals on published tables: what counts as reached."""

from __future__ import annotations

import pytest

from benchmarks.quality import published, tables
from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.standings import Standings


def found(file: str, system: str = "auto", *, seed: int = 0, **figures: object) -> Finding:
    return Finding.model_validate({"cell": Cell(file=file, system=system, seed=seed), "losses": (4.0, 4.0), **figures})


@pytest.mark.parametrize(("accuracy", "reached"), [(0.955, "yes"), (0.954, "within one standard error"), (0.5, "no")])
def test_an_accuracy_has_to_reach_its_goal(accuracy: float, reached: str) -> None:
    text = published.write(Standings([found("mlc_churn.csv", accuracy=accuracy)], ["auto"]))
    assert f"| accuracy at least 0.955 | {accuracy:.4f} ± " in text
    assert f" | {reached} | " in text


@pytest.mark.parametrize(("auc", "reached"), [(0.845, "yes"), (0.84, "within one standard error"), (0.83, "no")])
def test_an_area_under_the_curve_has_a_row_of_its_own(auc: float, reached: str) -> None:
    text = published.write(Standings([found("telco.csv", accuracy=0.81, auc=auc, auc_error=0.01)], ["auto"]))
    assert "| `telco.csv` | 1 | accuracy at least 0.803 | 0.8100 ± " in text
    assert f"| `telco.csv` | 1 | AUC at least 0.845 | {auc:.4f} ± 0.0100 | {reached} |" in text


def test_what_is_not_measured_is_named_and_what_is_has_its_days() -> None:
    days = [found("telco.csv", seed=seed, accuracy=0.81, measured=f"2026-11-2{seed + 7}") for seed in (0, 1)]

    text = published.write(Standings(days, ["auto"]))

    assert text.startswith("Measured on 2026-11-27 to 2026-11-28. Not measured: accuracy of `auto` on `mlc_churn.csv`,")
    assert "AUC of `auto` on `telco.csv`, " in text
    assert "accuracy of `cnn` on `mnist_5000.csv`.\n" in text
    assert "| `telco.csv` | 2 | accuracy at least 0.803 |" in text


def test_images_are_learnt_by_the_networks_of_the_tutorials() -> None:
    assert published.settings_of("mnist_5000.csv", "mlp")["hidden"] == (256, 128)
    assert published.settings_of("mnist_5000.csv", "cnn")["image"] == {"height": 28, "width": 28}
    assert published.settings_of("telco.csv", "auto") == published.settings_of("iris", "mlp") == {}
    text = published.write(Standings([found("mnist_5000.csv", "cnn", accuracy=0.98)], ["cnn"]))
    assert "| `mnist_5000.csv` | 1 | `cnn`: accuracy at least 0.97 | 0.9800 ± 0.0990 | yes | - |" in text


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
