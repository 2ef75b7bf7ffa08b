"""How the active version is measured beside a candidate, or why it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelstore import ModelRepository
from tests.training.samples import classified, clouds, describe, learnt, recipe, run, splits, typed, write_csv
from training.artifact.features import translate
from training.champion import measure_champion
from training.data.columns import cells_of
from training.learners.protocol import predictor


def test_a_damaged_active_version_is_replaced(two_versions: Path) -> None:
    (two_versions / "models" / "clouds" / "2" / "model.pt").write_bytes(b"damaged")

    _, result = run(recipe(), two_versions)

    assert result.activated
    assert "version 2, the active one, is broken" in result.detail


@pytest.mark.slow
def test_an_active_version_with_other_classes_is_kept(two_versions: Path) -> None:
    write_csv(two_versions / "data", clouds(200, classes=3, features=3))

    _, result = run(recipe(), two_versions)

    assert (result.version, result.activated) == (3, False)
    assert "has other features or classes" in result.detail


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_longer_table_is_judged_by_the_rows_that_the_active_version_has_not_seen(tmp_path: Path) -> None:
    rows = clouds(400, spread=3.0)
    write_csv(tmp_path / "data", rows.rows(np.arange(150)))
    run(recipe(), tmp_path)
    write_csv(tmp_path / "data", rows)

    _, result = run(recipe(seed=1), tmp_path)

    assert result.gate is not None
    assert result.gate.seen_rows
    assert result.gate.rows == 100 - result.gate.seen_rows
    assert f"on {result.gate.rows} test rows that version 1 was not trained on" in result.gate.reason


@pytest.mark.usefixtures("undrawn")
def test_an_active_version_that_overflows_on_test_rows_is_kept(tmp_path: Path) -> None:
    near, far = clouds(200), clouds(400, seed=1)
    near.x[:] *= 0.01
    far.x[::9, 0], far.x[4::9, 0] = 3e38, -3e38
    write_csv(tmp_path / "data", near)
    run(recipe(epochs=5), tmp_path)
    write_csv(tmp_path / "data", far)

    _, result = run(recipe(epochs=5), tmp_path)

    assert (result.version, result.activated) == (2, False)
    assert "version 1, the active one, cannot answer rows so far outside its training range" in result.detail


def test_columns_in_another_order_and_truth_written_otherwise_change_no_figure(tmp_path: Path) -> None:
    rows, store = typed(), ModelRepository(tmp_path)
    train, test = rows.rows(slice(200)), rows.rows(slice(200, None))
    module = learnt(train, epochs=3).module
    manifest, model = describe(module, train, test)
    store.activate("clouds", store.publish(manifest, model).version)
    written = [replace(column, texts=("0", "1")) if column.type == "boolean" else column for column in rows.columns]
    x = np.concatenate([test.x[:, cells] for cells in cells_of(rows.columns)[::-1]], axis=1)
    again = replace(test, x=x, columns=tuple(written[::-1]))
    candidate = translate(predictor(module), again.columns, rows.columns)

    champion = measure_champion(store, "clouds", splits(again, again), candidate)

    assert champion is not None
    assert champion.contest is not None
    assert champion.contest.active == manifest.metrics["test"]
    assert champion.contest.mean == 0


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("header", ["x,paid,cloud", "paid,x,cloud"])
def test_the_active_version_keeps_its_figures_when_the_same_rows_are_written_otherwise(
    header: str, tmp_path: Path
) -> None:
    def write(header: str, texts: tuple[str, str]) -> None:
        rows = (
            {"x": f"{n * 37 % 1009 / 8}", "paid": texts[(n + (n % 7 == 0)) % 2], "cloud": "ab"[n % 2]}
            for n in range(200)
        )
        names = header.split(",")
        lines = [header, *(",".join(row[name] for name in names) for row in rows)]
        (tmp_path / "data" / "clouds.csv").write_text("\n".join(lines) + "\n")

    (tmp_path / "data").mkdir()
    write("x,paid,cloud", ("0", "1"))
    _, first = run(recipe(), tmp_path)
    write(header, ("0.0", "1.0"))

    _, second = run(recipe(), tmp_path)

    assert first.activated
    assert second.gate is not None
    assert second.gate.active_log_loss == pytest.approx(classified(first.metrics["test"]).log_loss)
