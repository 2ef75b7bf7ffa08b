"""The module that publishes trees: cells to answers."""

import torch
from torch import Tensor, nn

from training.learners.trees.inputs import Inputs
from training.learners.trees.walker import Walker


class TreeModel(nn.Module):
    """Cells to probabilities or values: inputs, walker and link as one function."""

    def __init__(self, inputs: Inputs, walker: Walker, link: nn.Module) -> None:
        super().__init__()
        self.inputs = inputs
        self.walker = walker
        self.link = link

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities, (N, K), or values in the unit of the target, (N, 1), float32, of cells (N, W)."""
        answers: Tensor = self.link(self.walker(self.inputs(x))).to(torch.float32)
        return answers
