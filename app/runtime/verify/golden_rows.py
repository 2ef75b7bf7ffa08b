"""Check an engine against the golden rows of a manifest.

This module must not know how the engine computes or how it was loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from app.runtime.engines.choice import Engine
from app.runtime.errors import VersionRefused
from app.schema import Float32
from modelstore import Manifest, Task

SUM_TOLERANCE = 1e-5
COMPANY_ROWS = (64, 1024)  # the second is the largest batch of the service


def prove(engine: Engine, manifest: Manifest, version: int) -> None:
    """Run the golden rows twice and compare the answers with those of training.

    Raises:
        VersionRefused: if the answers are not those of the task, differ from those of training, or differ between runs.
    """
    x = np.array(manifest.golden.features, dtype=np.float32)  # (G, W), NaN for None
    expected = np.array(manifest.golden.outputs, dtype=np.float64)  # (G, K)
    try:
        got, again = engine.infer(x), engine.infer(x)
    except AttributeError as error:
        raise VersionRefused(manifest.name, version, "contract_output", "its answer is no tensor") from error
    difference = float(np.abs(got - expected).max()) if got.shape == expected.shape else 0.0
    wrong = _no_answers(got, expected.shape, manifest.task)
    if wrong is None and not np.array_equal(got, again):
        wrong = "not_deterministic", "two equal calls gave different answers"
    if wrong is None and difference > manifest.golden.tolerance:
        allowed = manifest.golden.tolerance
        wrong = "golden_mismatch", f"golden rows differ by {difference:.2g}, allowed is {allowed:.2g}"
    if wrong is not None:
        raise VersionRefused(manifest.name, version, *wrong)


def prove_independence(engine: Engine, manifest: Manifest, version: int) -> None:
    """Run the golden rows alone and in various batches: the answer for a row must not depend on other rows.

    Raises:
        VersionRefused: if an answer differs from that of training by more than the golden rows' tolerance.
    """
    x = np.array(manifest.golden.features, dtype=np.float32)  # (G, W), NaN for None
    expected = np.array(manifest.golden.outputs, dtype=np.float64)  # (G, K)
    for company, rows in _companies(len(x)):
        got = engine.infer(x[rows])
        wrong = _no_answers(got, expected[rows].shape, manifest.task)
        difference = 0.0 if wrong else float(np.abs(got - expected[rows]).max())
        if difference > manifest.golden.tolerance:
            wrong = "rows_not_independent", f"answers differ by {difference:.2g}"
        if wrong is not None:
            detail = (
                f"{wrong[1]} when golden rows are asked {company}; compute each answer from its own row, not over dim 0"
            )
            raise VersionRefused(manifest.name, version, wrong[0], detail)


def _companies(rows: int) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Yield batches to run the rows in: a description, and the row indices."""
    every = np.arange(rows)
    yield from (("alone", row) for row in every[:, None])
    yield from (("in halves", half) for half in np.array_split(every, 2))
    yield "in reverse", every[::-1]
    for size in COMPANY_ROWS:
        yield f"repeated to {size} rows", np.resize(every, size)


def _no_answers(got: Float32, shape: tuple[int, ...], task: Task) -> tuple[str, str] | None:
    """Return reason and detail if answers are not probabilities or values of this shape, else None."""
    if got.shape != shape:
        return "contract_shape", f"answers shape {got.shape}, not {shape}"
    if got.dtype != np.float32:
        return "contract_type", f"answers {got.dtype}, not float32"
    if not np.isfinite(got).all():
        return "contract_finite", "its answers are not finite"
    if task == "classification" and (
        got.min() < 0 or np.abs(got.sum(axis=1, dtype=np.float64) - 1).max() > SUM_TOLERANCE
    ):
        return "contract_sum", "its answers are not probabilities that sum to 1"
    return None
