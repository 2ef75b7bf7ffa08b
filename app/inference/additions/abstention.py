"""Decide the label or value of each row, or nothing where that is too unsure.

This module must not know HTTP or any body format but JSON, whose fields it writes. The usual answer stays. N is rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import wrong_field
from app.inference.additions.added import Added, AddedOutput, AddedOutputs, json_of
from app.inference.additions.addition import Addition
from app.inference.additions.sets import Levels, choose_classes, reach_of, steps
from app.inference.options import PLAIN, Spell
from app.inference.predictions import Predictions
from modelstore import AbstainPolicy

OUT_OF_RANGE, LOW_CONFIDENCE = "out_of_range", "low_confidence"
EMPTY_SET, AMBIGUOUS_SET, WIDE_INTERVAL = "empty_set", "ambiguous_set", "wide_interval"
REASONS = (OUT_OF_RANGE, LOW_CONFIDENCE, EMPTY_SET, AMBIGUOUS_SET, WIDE_INTERVAL)
"""Why nothing is decided; a row that has several reasons is answered with the first."""

Mask = NDArray[np.bool_]


class Abstention(Addition):
    """Decide the label or value of each row, or nothing.

    Attributes:
        outputs: what is answered: the class or value that is decided, and the reason where none is.
    """

    def __init__(
        self, levels: Levels, policy: AbstainPolicy, confidence: float | None, spell: Spell = PLAIN.spell
    ) -> None:
        """Check that the policy fits the version, which has scores if sets or intervals decide.

        Args:
            levels: what the version knows of sets and intervals.
            policy: when nothing is decided.
            confidence: level of the sets that the request wants, which decide, too, unless the policy has its own.
            spell: how the request spells its options, for messages.

        Raises:
            InvalidInput: if it does not.
        """
        schema = levels.schema
        if unfit := policy.misfit(len(schema.classes)):
            wrong = "wider" if schema.classes else "confidence" if policy.below is None else "below"
            raise wrong_field(spell("abstain", wrong), f"does not fit; expected {unfit}")
        self._schema, self._policy = schema, policy
        level, field = policy.confidence, spell("abstain", "confidence")
        if level is None and schema.classes:
            level, field = confidence, spell("confidence")
        facts = [] if schema.decision is None else [("policy", schema.decision.policy)]
        self._labels = [orjson.dumps(name) for name in schema.classes]
        self._limits: NDArray[np.float64] | None = None
        if level is not None:
            self._limits = np.array(levels.limits(level, field))
            self._spread = levels.require(field).spread
            facts += [] if confidence is not None else levels.facts(level, field)
        self.outputs: AddedOutputs = (
            AddedOutput("decision", ("decision",), bool(schema.classes), tuple(facts)),
            AddedOutput("abstained", ("abstained",), True),
        )

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return the decisions."""
        nothing = [b',"decision":null,"abstained":"%b"' % name.encode() for name in REASONS]
        decided = np.full((predictions.rows, 1), None, dtype=object if self._schema.classes else np.float32)
        abstained = np.full((predictions.rows, 1), None, dtype=object)
        fields: list[bytes] = []
        outside = self._outside(predictions)
        async for part in steps(predictions.rows):
            texts, answers = self._answers(predictions, part)
            reasons = self._reasons(predictions, part, None if outside is None else outside[part])
            for row, reason in enumerate(reasons.tolist()):
                if reason == len(REASONS):
                    fields.append(b',"decision":' + texts[row])
                    decided[part.start + row, 0] = answers[row]
                else:
                    fields.append(nothing[reason])
                    abstained[part.start + row, 0] = REASONS[reason]
        return Added(fields, [decided, abstained])

    def _answers(
        self, predictions: Predictions, part: slice
    ) -> tuple[list[bytes], Sequence[str] | NDArray[np.float32]]:
        """Return the label or value of each row of a part, as JSON and as it is."""
        if not self._schema.classes:
            values = np.ascontiguousarray(predictions.outputs[part, 0])
            return json_of(values)[1:-1].split(b","), values
        winners = predictions.winners[part].tolist()
        return [self._labels[k] for k in winners], [self._schema.classes[k] for k in winners]

    def _outside(self, predictions: Predictions) -> Mask | None:
        """Return which rows have a value that gets a warning, (N,); None if that does not matter, or none has."""
        mask = predictions.batch.outside if self._policy.out_of_range else None
        if mask is None:
            return None
        outside: Mask = np.logical_or.reduce(mask[predictions.start : predictions.stop], axis=1)
        return outside

    def _reasons(self, predictions: Predictions, part: slice, outside: Mask | None) -> NDArray[np.intp]:
        """Return the place in `REASONS` of each reason of a part, (n,), or their number where something is decided."""
        outputs = predictions.outputs[part]
        doubts = self._doubts_of_classes(outputs, predictions.winners[part]) if self._schema.classes else {}
        if self._policy.wider is not None and self._limits is not None:
            reach = reach_of(outputs[:, 0].astype(np.float64), float(self._limits[0]), self._spread)
            doubts = {WIDE_INTERVAL: 2 * reach > self._policy.wider}
        if outside is not None:
            doubts[OUT_OF_RANGE] = outside
        never = np.zeros(len(outputs), dtype=np.bool_)
        found = np.stack([*(doubts.get(name, never) for name in REASONS), ~never])  # (reasons + 1, n)
        first: NDArray[np.intp] = found.argmax(axis=0)
        return first

    def _doubts_of_classes(self, outputs: NDArray[np.float32], winners: NDArray[np.signedinteger]) -> dict[str, Mask]:
        """Return for which rows each reason holds, (n,), of probabilities (n, K) and the places of the labels (n,)."""
        doubts: dict[str, Mask] = {}
        if self._policy.below is not None:
            doubts[LOW_CONFIDENCE] = outputs[np.arange(len(outputs)), winners] < np.float32(self._policy.below)
        if self._limits is not None:
            sizes = choose_classes(outputs, self._limits).sum(axis=1)
            doubts |= {EMPTY_SET: sizes == 0, AMBIGUOUS_SET: sizes > 1}
        return doubts
