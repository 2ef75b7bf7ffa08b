"""Pictures of columns: they are drawn for any number, name and type of columns."""

from __future__ import annotations

import numpy as np
import pytest

from modelstore import ColumnImportance, Importance
from tests.training.samples import typed
from training.evaluation import importance_plots
from training.evaluation.dependence import measure_dependence

PNG = b"\x89PNG"


@pytest.mark.parametrize("columns", [1, 30])
def test_importance_is_drawn_for_any_number_of_columns(columns: int) -> None:
    each = ColumnImportance(mean=0.1, interval=(-0.1, 0.3))
    found = Importance(
        figure="rmse", rows=9, repeats=30, columns={f"$_{place}_$" + "x" * 80: each for place in range(columns)}
    )

    assert importance_plots.importance(found, "CloudNet").startswith(PNG)


@pytest.mark.parametrize("columns", [1, 5])
def test_dependence_is_drawn_for_every_type_of_column(columns: int) -> None:
    rows = typed(60)
    found = measure_dependence(lambda x: np.full((len(x), 2), 0.5, np.float32), rows, rows, rows.features[-columns:])

    assert len(found) == columns
    assert importance_plots.dependence(found, rows.classes, "CloudNet").startswith(PNG)
