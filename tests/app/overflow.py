"""A model that is right about ordinary rows, and whose answer to a huge one is no number."""

from __future__ import annotations

import torch

from tests.fakes import MeanModel


class Overflows(MeanModel):
    """Answers NaN where the sum of a row is infinite in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x.sum(dim=1)
        high = torch.clamp(x.mean(dim=1) + (total - total), 0.0, 1.0)
        return torch.stack((1.0 - high, high), dim=1)  # (N, 2)
