"""The leader board of a training: its model, members and baselines on the same rows.

It must not know how they are measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelstore.evaluation import AnyBaseline
from modelstore.records import Label, Ratio, Record

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Leader(Record):
    """One model on the board.

    Attributes:
        name: of the model, or of a learner or baseline.
        role: the published model, a member that was tried as a part of it, or a baseline.
        figures: its headline figures on the board's rows.
        error: standard error of the deciding figure, the last of the headline; absent for a single row.
        weight: its share of the model's answer, of a member.
        train_s: seconds that its training took.
        row_us: microseconds that one row alone takes, by the uncompiled model in the training's process.
    """

    name: Label
    role: Literal["model", "member", "baseline"]
    figures: AnyBaseline
    error: Amount | None = None
    weight: Ratio | None = None
    train_s: Amount
    row_us: Amount


class LeaderBoard(Record):
    """The model, its members and the baselines, the best first.

    Attributes:
        rows: test rows on which all of them were measured; of very many, an evenly spread part.
        leaders: by the deciding figure.
        conclusion: one sentence that says what it means.
    """

    rows: Annotated[int, Field(ge=1)]
    leaders: Annotated[tuple[Leader, ...], Field(min_length=1)]
    conclusion: str
