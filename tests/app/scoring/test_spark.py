"""The snippet for Spark in docs/scoring.md works; all of it only where Spark is installed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstore import ModelRepository
from tabserve.late import has
from tests.fakes import publish
from tests.processes import PROJECT


def snippet() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "scoring.md").read_text(), re.DOTALL)
    return str(code)


def test_the_function_for_spark_answers_an_array_of_rows(repository: ModelRepository) -> None:
    publish(repository)
    names: dict[str, Any] = {}
    exec(re.search(r"def load_version.*?return make_predict\n", snippet(), re.DOTALL)[0], names)  # type: ignore[index]  # noqa: S102
    predict = names["load_version"](repository.root / "means" / "1")()

    answers = predict(np.array([[0.0, 0.5], [1.0, 1.0]], np.float32))
    assert answers["label"].tolist() == ["low", "high"]
    assert answers["probability"].tolist() == [0.75, 1.0]


@pytest.mark.slow
@pytest.mark.skipif(not has("pyspark"), reason="pyspark is not installed")
@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_the_snippet_scores_a_frame_of_spark(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    publish(repository)
    spark = SparkSession.builder.master("local[1]").getOrCreate()
    rows = spark.createDataFrame([(0.0, 0.5), (1.0, 1.0)], "left float, right float")
    names: dict[str, Any] = {"folder": str(repository.root / "means" / "1"), "rows": rows, "names": ["left", "right"]}
    exec(snippet(), names)  # noqa: S102

    assert [row.answer.label for row in names["scored"].collect()] == ["low", "high"]
    spark.stop()
