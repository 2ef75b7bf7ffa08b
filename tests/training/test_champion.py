"""How the active version is measured beside a candidate, or why it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.samples import clouds, recipe, run, write_csv


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
