"""Choose what is added to the usual answer, and add it to the predictions of a block.

This module must not know any body format.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from app.inference.additions.abstention import Abstention
from app.inference.additions.added import Added, AddedOutputs
from app.inference.additions.addition import Addition
from app.inference.additions.explanation import Explainer, Explanation
from app.inference.additions.keeping import Keeper, require_ids
from app.inference.additions.receipt import Receipts
from app.inference.additions.sets import Intervals, Levels, Sets
from app.inference.options import PredictionOptions
from app.inference.predictions import Predictions
from app.inference.shadow import ShadowRunner
from app.receipts import ReceiptKeys
from app.runtime.load import LoadedModel
from app.schema import ModelSchema
from app.telemetry.version_counters import VersionCounts


class Shared(NamedTuple):
    """What all requests share: explainer, receipt keys, keeper of ids and inputs, and shadows.

    Without keys, no row gets a receipt.
    """

    explainer: Explainer
    keys: ReceiptKeys | None
    keeper: Keeper
    shadows: ShadowRunner | None = None


def choose_additions(
    shared: Shared,
    model: LoadedModel,
    schema: ModelSchema,
    options: PredictionOptions,
    *,
    counts: VersionCounts,
    deadline_ns: int | None = None,
) -> tuple[Addition, ...]:
    """Return the additions that a request asks for.

    No computation starts after `deadline_ns`, on the clock of `time.perf_counter_ns`.

    Raises:
        InvalidInput: if the version cannot answer it.
    """
    additions: list[Addition] = []
    levels, level, spell = Levels(schema, model.manifest.conformal), options.confidence, options.spell
    if level is not None:
        kind = Sets if schema.classes else Intervals
        additions.append(kind(levels, level, spell("confidence")))
    policy = schema.abstain if options.abstain is None else options.abstain
    if policy:
        additions.append(Abstention(levels, policy, level, spell))
    if options.explain is not None:
        additions.append(
            Explanation(shared.explainer, model, schema, options.explain, deadline_ns=deadline_ns, spell=spell)
        )
    if options.has_ids:
        require_ids(shared.keeper, "id_column" if options.ids is None else "ids")
    wants_receipts = schema.receipts if options.receipt is None else options.receipt
    if shared.keys is not None and (wants_receipts or options.has_ids):
        additions.append(Receipts(shared.keys, model, counts, shared.keeper, shared.shadows))
    return tuple(additions)


def outputs_of(additions: Sequence[Addition]) -> AddedOutputs:
    """Return all that is added to the usual answer."""
    return tuple(output for addition in additions for output in addition.outputs)


async def extend(
    predictions: Predictions,
    additions: Sequence[Addition],
    bad: Collection[int],
    ids: Sequence[str | None] | None = None,
) -> Predictions:
    """Return the predictions of a block as a batch of their own, with additional answers to all but the bad rows.

    `bad` has the positions of rows that are not answered, `ids` the caller's own ids of the rows, if there are any.

    Raises:
        ServingError.
    """
    extended = predictions.under(predictions.schema)
    extended.batch.ids = ids
    rows = [row for row in range(extended.rows) if row not in bad]
    extended.batch.added = Added.join([await addition.answer(extended, rows) for addition in additions])
    return extended
