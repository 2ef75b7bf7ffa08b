"""SGD, Adam and AdamW on one flat vector of parameters.

They give the same results as `torch.optim` with the same settings, whose bookkeeping costs more than the step itself.
They must not know networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.config.learner_settings import TrainingSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Sgd:
    """Gradient descent; `decay` is the weight of an L2 penalty."""

    def __init__(self, values: Tensor, decay: float) -> None:
        self._values = values
        self._decay = decay

    def step(self, gradient: Tensor, rate: float) -> None:
        """Take one step with this learning rate; the gradient is not modified."""
        if self._decay:
            gradient = gradient.add(self._values, alpha=self._decay)
        self._values.add_(gradient, alpha=-rate)


class Adam:
    """Adam; `decay` is the weight of an L2 penalty or, if `decoupled`, the weight decay of AdamW.

    Source: Kingma & Ba, ICLR 2015, algorithm 1; Loshchilov & Hutter, ICLR 2019, algorithm 2.
    """

    def __init__(self, values: Tensor, decay: float, *, decoupled: bool) -> None:
        self._values = values
        self._decay, self._decoupled = decay, decoupled
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._root = torch.empty_like(values)
        self._steps = 0

    def step(self, gradient: Tensor, rate: float) -> None:
        """Take one step with this learning rate; the gradient is not modified."""
        self._steps += 1
        if self._decay and self._decoupled:
            self._values.mul_(1 - rate * self._decay)
        elif self._decay:
            gradient = gradient.add(self._values, alpha=self._decay)
        self._mean.lerp_(gradient, 1 - BETA1)
        self._square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        root = torch.sqrt(self._square, out=self._root).div_(math.sqrt(1 - BETA2**self._steps)).add_(EPSILON)
        self._values.addcdiv_(self._mean, root, value=-rate / (1 - BETA1**self._steps))


def optimizer_for(values: Tensor, settings: TrainingSettings) -> Sgd | Adam:
    """Return the optimizer of the settings for parameters `values`, float32 (P,), which its steps update in place."""
    match settings.optimizer:
        case "sgd":
            return Sgd(values, settings.weight_decay)
        case "adam":
            return Adam(values, settings.weight_decay, decoupled=False)
        case "adamw":
            return Adam(values, settings.weight_decay, decoupled=True)
