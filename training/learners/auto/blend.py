"""A module made of other modules: the weighted mean of their answers.

It must not know learners. N is rows and K outputs everywhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Blend(nn.Module):
    """The weighted mean of the answers of modules, which share nothing but their input.

    Attributes:
        weights: share of each module, float32 (M,), sum 1.
    """

    weights: Tensor

    def __init__(self, modules: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, K) or values (N, 1) of cells, float32 (N, W)."""
        answers: list[Tensor] = []
        for part in self.parts:
            answers.append(part(x))
        return torch.matmul(torch.stack(answers, dim=2), self.weights)  # (N, K)
