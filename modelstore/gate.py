"""Why a training made its version the active one, or did not."""

from __future__ import annotations

from typing import Literal

from modelstore.records import Count, Finite, Record

# When a training makes its version the active one.
Activation = Literal["if_better", "if_better_live", "always", "never"]


class GateReport(Record):
    """Why a candidate was, or was not, made the active version.

    Attributes:
        policy: what was asked for.
        passed: whether the candidate was good enough to become active.
        shadow: whether it became the shadow of the active version instead, until labels show that it is better.
        reason: one sentence for people, with the figures compared.
        active_version: the version that it was compared with on the same rows, if there was one.
        rows: test rows by which it was judged.
        seen_rows: test rows left out of the comparison because the active version was trained on them; None if there
            was no comparison, or it is unknown.
    """

    policy: Activation
    passed: bool
    shadow: bool | None = None
    reason: str
    active_version: int | None = None
    candidate_log_loss: Finite | None = None
    active_log_loss: Finite | None = None
    candidate_rmse: Finite | None = None
    active_rmse: Finite | None = None
    rows: Count | None = None
    seen_rows: Count | None = None
