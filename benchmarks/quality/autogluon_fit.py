"""Train AutoGluon on the files of a folder.

It runs in an environment of its own, which has nothing of this project.

Reads `train.csv`, `test.csv` (target `y`) and `order.json`; writes `answers.npy` and `figures.json`.
"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

TIMED_CALLS = 11


def main() -> None:
    """Train and answer as the order says."""
    folder = Path(sys.argv[1])
    order = json.loads((folder / "order.json").read_text("utf-8"))
    train, test = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    classes, rows = order["classes"], test.drop(columns="y")
    problem = "regression" if not classes else "binary" if classes == 2 else "multiclass"
    started_s = time.perf_counter()
    predictor = TabularPredictor(
        "y",
        problem_type=problem,
        eval_metric="log_loss" if classes else "root_mean_squared_error",
        path=str(folder / "autogluon"),
        verbosity=0,
    )
    predictor.fit(train, time_limit=order["budget_s"], presets="medium_quality", num_cpus=order["threads"], num_gpus=0)
    train_s = time.perf_counter() - started_s
    predictor.persist()

    def answer(some: pd.DataFrame) -> Any:
        """Return probabilities (N, K), or values (N, 1); a class that it has dropped has 0."""
        if not classes:
            return predictor.predict(some).to_numpy()[:, None]
        found = predictor.predict_proba(some)
        return found.reindex(columns=range(classes), fill_value=0.0).to_numpy()

    np.save(folder / "answers.npy", answer(rows).astype(np.float64))
    times_s = []
    for _ in range(TIMED_CALLS):
        called_s = time.perf_counter()
        answer(rows[:1])
        times_s.append(time.perf_counter() - called_s)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"train_s": train_s, "cpu_s": used.ru_utime + used.ru_stime, "row_us": 1e6 * statistics.median(times_s)}
    (folder / "figures.json").write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main()
