"""Rows of feedback for a training: inputs that were kept, whose labels came.

This module must not know how a training uses them.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from app.errors import wrong_field
from modelstore import Feedback, FeedbackRow, Manifest, ModelRepository, StoreError
from modelstore.reading import column_name

if TYPE_CHECKING:
    from app.jobs.kept import KeptStore

MOST_ROWS = 100_000  # of one training, the newest
_SHOWN = 5
_FIELD = "include_feedback"


class LabelledRows:
    """Finds rows of feedback; its methods read files and the database, so call them from a thread."""

    def __init__(self, kept: KeptStore, repository: ModelRepository) -> None:
        self._kept, self._repository = kept, repository

    def find(self, model: str, target: str | None) -> Feedback:
        """Return the rows of a model's versions that predict this target; those of others are counted as left out.

        Raises:
            StoreUnavailable.
        """
        found, count = self._kept.find_labelled(model, int(time.time()), MOST_ROWS)
        manifest_of = functools.cache(functools.partial(self._manifest, model))
        rows = []
        for row in found:
            manifest = manifest_of(row.version)
            if manifest is None or manifest.target is None or column_name(manifest.target.name) != target:
                continue
            label = manifest.classes[int(row.label)] if manifest.classes else repr(row.label)
            values = json.loads(row.row)
            rows.append(FeedbackRow(version=row.version, time_s=row.time_s, values=values, label=label))
        return Feedback(rows=tuple(rows), left_out=count - len(rows))

    def require(self, model: str, target: str | None, columns: Collection[str]) -> None:
        """Check that there is a row with all columns that a training needs.

        Raises:
            InvalidInput, StoreUnavailable.
        """
        feedback = self.find(model, target)
        if not feedback.rows and feedback.left_out:
            raise wrong_field(
                _FIELD, f"finds no row: {feedback.left_out} rows predict another target, or their version is gone"
            )
        if not feedback.rows:
            how = "inputs are kept for a share of the rows with receipts, TABSERVE_KEEP_INPUTS_SHARE"
            raise wrong_field(_FIELD, f"finds no row of {model} whose inputs were kept and whose label came; {how}")
        if not any(row.values.keys() >= set(columns) for row in feedback.rows):
            there = set[str]().union(*(row.values for row in feedback.rows))
            lacking = [name for name in columns if name not in there] or ["some column each"]
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            names = ", ".join(map(repr, lacking[:_SHOWN])) + more
            way = "learn from other `features`, or keep these columns, too (TABSERVE_KEEP_INPUTS_COLUMNS)"
            raise wrong_field(_FIELD, f"finds {len(feedback.rows)} rows, but they lack {names}; {way}")

    def _manifest(self, model: str, version: int) -> Manifest | None:
        try:
            return self._repository.find(model, version).manifest()
        except StoreError:
            return None
