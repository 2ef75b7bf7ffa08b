"""The bare forward pass: a process that calls the model for a given time.

Each input line is a JSON object `{"rows": 10000, "chunk": 1024, "seconds": 1.0}`; the answer is `{"rows_per_s": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks.baselines.model import Model, load
from benchmarks.store import Store


def rows_per_s(model: Model, x: torch.Tensor, chunk: int, seconds: float) -> float:
    """Call the model again and again on x, shape (N, F), in chunks of rows."""
    passes, parts = 0, [x[start : start + chunk] for start in range(0, len(x), chunk)]
    with torch.inference_mode():
        for part in parts * 2:
            model.module(part)
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            for part in parts:
                model.module(part)
            passes += 1
    return passes * len(x) / elapsed


def main() -> None:
    """Answer lines until the input ends."""
    model = load(freeze=True)
    store = Store(Path(os.environ["BENCH_STORE"]))
    for line in sys.stdin:
        asked = json.loads(line)
        x = torch.from_numpy(store.rows(asked["rows"]))  # (N, F)
        rate = rows_per_s(model, x, asked["chunk"], asked["seconds"])
        print(json.dumps({"rows_per_s": rate}), flush=True)


if __name__ == "__main__":
    main()
