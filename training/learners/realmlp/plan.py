"""Plan networks, their width and epochs from the budget and the table alone.

It must not know clocks: the same table, budget and seed give the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

from training.learners.realmlp.network import Networks

EPOCHS = 256
LEAST_EPOCHS = 8  # with fewer, an epoch has a part of the rows
SMALL_ROWS = 3_000
WIDE_ROWS = 20_000
NETWORKS = 4
WIDE, NARROW = (256, 256, 256), (128, 128, 128)
BATCHES = ((1_024, 64), (8_192, 128), (30_000, 256), (100_000, 512))  # up to so many rows, so many rows a step
LARGEST_BATCH = 1_024
STEP_S = 2.5e-3
ROW_S, NUMBER_S, WEIGHT_S = (
    2e-6,
    2.5e-7,
    1.1e-10,
)  # of a row through a network and back, of each number and weight there


class Plan(NamedTuple):
    """What a training does.

    Attributes:
        batch: rows of a step, for each network.
        steps: steps of an epoch.
        epochs: number of epochs.
    """

    batch: int
    steps: int
    epochs: int

    @property
    def epoch_rows(self) -> int:
        """Return the rows of an epoch, for each network."""
        return self.batch * self.steps


def hidden_for(rows: int, models: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers: wide for a single network, unless the table is too large for it.

    Several networks, which share the time, gain nothing by width: docs/decisions.md.

    Args:
        rows: rows of the table.
        models: number of networks that are averaged.
    """
    return WIDE if models == 1 and rows <= WIDE_ROWS else NARROW


def networks_for(rows: int) -> int:
    """Return the number of networks that are averaged, where the training rows are not in folds."""
    return NETWORKS if rows <= SMALL_ROWS else 1


def plan_for(networks: Networks, rows: int, budget_s: float) -> Plan:
    """Return what the budget allows.

    Args:
        networks: what is trained.
        rows: training rows of each network.
        budget_s: seconds on one core of the machine where the costs here were measured.
    """
    batch = min(rows, next((size for most, size in BATCHES if rows <= most), LARGEST_BATCH))
    models, numbers = networks.scale.shape[0], networks.embedding.numbers
    weights = sum(layer.numel() for layer in networks.parameters()) / models
    step_s = STEP_S + batch * models * (ROW_S + numbers * NUMBER_S + weights * WEIGHT_S)
    affordable, steps = max(1, int(budget_s / step_s)), max(1, rows // batch)
    steps = max(1, min(steps, affordable // LEAST_EPOCHS))
    return Plan(batch, steps, max(1, min(EPOCHS, affordable // steps)))
