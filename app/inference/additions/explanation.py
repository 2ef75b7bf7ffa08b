"""Explain rows: compute their Shapley values in short steps, so that other requests go on.

This module must not know HTTP or any body format but JSON, whose fields it writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from app.context import require_wanted
from app.errors import DeadlinePassed, wrong_field
from app.inference.additions.added import Added, AddedOutput, AddedOutputs
from app.inference.additions.addition import Addition
from app.inference.additions.shapley import Floats, Values, plan_for
from app.inference.errors import TooManyExplained
from app.inference.options import PLAIN, Explain, Spell
from app.inference.predictions import Predictions
from app.runtime.load import LoadedModel
from app.schema import Float32, ModelSchema
from modelstore import Task

# A step has as many rows as take about this long, so that the event loop is blocked for less than half a millisecond.
SHORT_STEP_NS, LONG_STEP_NS = 150_000, 350_000
FEWEST_ROWS, FIRST_ROWS, MOST_ROWS = 16, 64, 4096  # of a step

_EXPLAINED_OF: dict[Task, Callable[[ModelSchema, int, np.float32], dict[str, object]]] = {
    "classification": lambda schema, output, _answered: {"class": schema.classes[output]},
    "regression": lambda _schema, _output, answered: {"value": answered},
}
"""Names the output that is explained, given its index and value."""


class Explainer:
    """Limits and order of the explanations of all requests."""

    def __init__(self, max_rows: int, step_rows: int | None = None) -> None:
        """Create the explainer.

        Args:
            max_rows: most rows that may be computed to explain those of one request.
            step_rows: rows of each step, so that equal requests have equal bits; None for as many as are quick.
        """
        self.max_rows, self.step_rows = max_rows, step_rows
        self.turn = asyncio.Semaphore(1)  # one row at a time, in the order of arrival


class Explanation(Addition):
    """Explain the rows of one request.

    Attributes:
        outputs: what is answered.
    """

    def __init__(
        self,
        explainer: Explainer,
        model: LoadedModel,
        schema: ModelSchema,
        wanted: Explain,
        *,
        deadline_ns: int | None = None,
        spell: Spell = PLAIN.spell,
    ) -> None:
        """Check that the request can be answered.

        Args:
            explainer: what all requests share.
            model: the version that answers.
            schema: its schema, with the decision that the request wants.
            wanted: which explanations are wanted.
            deadline_ns: no computation starts after it, on the clock of `time.perf_counter_ns`.
            spell: how the request spells its options, for messages.

        Raises:
            InvalidInput: if the version has no background rows, or a wish does not fit its answers.
        """
        background = model.background
        if background is None:
            raise wrong_field(
                spell("explain"), f"{_title(schema)} has no background rows to compare with; train the model again"
            )
        if schema.task == "regression" and (wanted.class_name is not None or wanted.confidence_below is not None):
            field = "class" if wanted.class_name is not None else "confidence_below"
            raise wrong_field(spell("explain", field), f"is for classes; {schema.name} answers a quantity")
        if wanted.class_name is not None and wanted.class_name not in schema.classes:
            raise wrong_field(spell("explain", "class"), f"must be one of {', '.join(schema.classes)}")
        self._explainer, self._model, self._schema, self._wanted = explainer, model, schema, wanted
        self.limits_rows = wanted.confidence_below is None  # else answers choose the rows that are explained
        self._deadline_ns = deadline_ns
        self._rows, self._weights = background
        self._plan = plan_for(len(schema.features), len(self._rows))
        self._widths = [feature.width for feature in schema.types]
        self._explained, self._step_rows = 0, explainer.step_rows or FIRST_ROWS
        self.outputs = _outputs(schema, sampled=self._plan.method != "shapley-exact", has_others=wanted.top is not None)

    @property
    def rows_each(self) -> int:
        """Return the number of rows that are computed to explain one."""
        return self._plan.coalitions * len(self._rows)

    def expect(self, rows: int) -> None:
        """Refuse a request by its number of rows, before any is computed.

        Raises:
            TooManyExplained.
        """
        if self.limits_rows:
            self._require_few(rows)

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Explain some rows of a block, given their positions.

        Raises:
            TooManyExplained, DeadlinePassed, ClientGone.
        """
        outputs = self._outputs_of(predictions)
        below = self._wanted.confidence_below
        if below is not None:
            sure = predictions.outputs[np.arange(predictions.rows), predictions.winners] >= below
            rows = [row for row in rows if not sure[row]]
        self._explained += len(rows)
        self._require_few(self._explained)
        fields = [b""] * predictions.rows
        added = Added(
            fields, [np.full((predictions.rows, len(output.columns)), np.nan, np.float32) for output in self.outputs]
        )
        for row in rows:
            async with self._explainer.turn:
                x, output = predictions.batch.x[predictions.start + row], int(outputs[row])
                values = self._plan.values(await self._worth(x, output))
            found = self._answer_of(values)
            for cells, one in zip(added.values, found, strict=True):
                cells[row] = one
            fields[row] = self._field(output, predictions.outputs[row, output], found)
        return added

    def _outputs_of(self, predictions: Predictions) -> NDArray[np.signedinteger]:
        """Return the index of the output that is explained, of each row."""
        if self._wanted.class_name is None:
            return predictions.winners
        return np.full(predictions.rows, self._schema.classes.index(self._wanted.class_name))

    async def _worth(self, row: Float32, output: int) -> Floats:
        """Return the worth of each coalition of the plan, computed in short steps."""
        rows, background = self.rows_each, len(self._rows)
        outputs = np.empty(rows, dtype=np.float32)
        start = 0
        while start < rows:
            began_ns = time.perf_counter_ns()
            if self._deadline_ns is not None and self._deadline_ns < began_ns:
                raise DeadlinePassed
            stop = min(rows, start + self._step_rows)
            outputs[start:stop] = self._model.infer(self._compose(row, start, stop))[:, output]
            self._pace(stop - start, time.perf_counter_ns() - began_ns)
            start = stop
            await asyncio.sleep(0)  # other requests run
            require_wanted()
        return outputs.reshape(-1, background).astype(np.float64) @ self._weights

    def _pace(self, rows: int, took_ns: int) -> None:
        """Adapt the rows of a step to the time that the last one took."""
        if self._explainer.step_rows is not None:
            return
        if took_ns > LONG_STEP_NS:
            self._step_rows = max(rows // 2, FEWEST_ROWS)
        elif took_ns < SHORT_STEP_NS and rows == self._step_rows:
            self._step_rows = min(2 * rows, MOST_ROWS)

    def _compose(self, row: Float32, start: int, stop: int) -> Float32:
        """Return some of the rows to compute: for each coalition, every background row with cells of the row."""
        background = len(self._rows)
        first, last = start // background, -(-stop // background)
        members = np.repeat(self._plan.members(first, last), self._widths, axis=1)  # (n, W)
        mixed = np.where(members[:, None, :], row, self._rows).reshape(-1, len(row))  # (n * B, W)
        found: Float32 = mixed[start - first * background : stop - first * background]
        return found

    def _answer_of(self, values: Values) -> list[Float32]:
        """Return the values of one row for each of the outputs."""
        contributions = values.contributions.astype(np.float32)
        found = [np.array([values.base], dtype=np.float32), contributions]
        errors = [] if values.errors is None else [values.errors.astype(np.float32)]
        top = self._wanted.top
        if top is not None:
            others = np.argsort(-np.abs(contributions), kind="stable")[top:]
            for array in (contributions, *errors):
                array[others] = np.nan
            found.append(np.array([values.contributions[others].sum()], dtype=np.float32))
        return found + errors

    def _field(self, output: int, answered: np.float32, found: Sequence[Float32]) -> bytes:
        """Return the JSON field `explanation` of one row, the largest contributions first."""
        explained = _EXPLAINED_OF[self._schema.task](self._schema, output, answered)
        names = self._schema.features
        order = [place for place in np.argsort(-np.abs(found[1]), kind="stable") if not np.isnan(found[1][place])]
        text: dict[str, object] = {"method": self._plan.method, **explained}
        for kind, values in zip(self.outputs, found, strict=True):
            one = len(kind.columns) == 1 and kind.name not in ("contributions", "standard_errors")
            text[kind.name] = values[0] if one else {names[place]: values[place] for place in order}
        return b',"explanation":' + orjson.dumps(text, option=orjson.OPT_SERIALIZE_NUMPY)

    def _require_few(self, rows: int) -> None:
        if rows * self.rows_each > self._explainer.max_rows:
            most = self._explainer.max_rows // self.rows_each
            raise TooManyExplained(most, _title(self._schema), self.rows_each, self._explainer.max_rows)


def _outputs(schema: ModelSchema, *, sampled: bool, has_others: bool) -> AddedOutputs:
    """Return what an explanation holds."""
    found = [AddedOutput("base", ("base",))]
    found.append(AddedOutput("contributions", tuple(f"contribution_{name}" for name in schema.features)))
    if has_others:
        found.append(AddedOutput("other_contributions", ("other_contributions",)))
    if sampled:
        found.append(AddedOutput("standard_errors", tuple(f"standard_error_{name}" for name in schema.features)))
    return tuple(found)


def _title(schema: ModelSchema) -> str:
    return f"version {schema.version} of {schema.name}"
