"""Forward pass and backward pass of any network, by autograd.

It has the interface of `gradient.FlatMLP`, which is several times faster for the networks that it knows. It must not
know optimizers or epochs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from training.learners.mlp.losses import Loss
from training.learners.mlp.network import Network


class AutogradNetwork:
    """A network with all parameters in one vector and their gradient in another.

    Args:
        net: source of the initial parameters, and target of `write_back`.
        generator: random generator for dropout and augmentation.
        loss: the loss of a chunk's outputs.
        l1: weight of the sum of the absolute weights of all layers; biases and normalisation have no penalty.
        augment: changes the rows of a training step, (n, E), at random.

    Attributes:
        parameters, gradient: (P,) float32.
        state: `parameters`, and what the network learns without a gradient: statistics of normalisation.
    """

    def __init__(
        self,
        net: Network,
        generator: torch.Generator,
        loss: type[Loss],
        *,
        l1: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._published, self._net = net, copy.deepcopy(net)
        parts = list(self._net.parameters())
        self.parameters = torch.cat([part.detach().flatten() for part in parts])
        self.gradient = torch.zeros_like(self.parameters)
        sizes = [part.numel() for part in parts]
        vectors = (torch.split(vector, sizes) for vector in (self.parameters, self.gradient))
        for part, value, gradient in zip(parts, *vectors, strict=True):
            part.data, part.grad = value.view_as(part), gradient.view_as(part)
        self.state = [self.parameters, *self._net.buffers()]
        self._weights = [part for part in parts if part.dim() > 1]
        self._random, self._l1, self._augment = generator.get_state(), l1, augment
        self._loss = loss
        self._losses: dict[int, Loss] = {}

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Return the answers of the loss, valid until the next call; `backward` needs them unchanged.

        A single row has no variance; in training, it is normalised by the statistics so far, and nothing is dropped.

        Args:
            x: encoded rows, and ones in the last column, float32 (n, E + 1).
            training: whether the pass is one of a training step: with dropout, augmentation and batch statistics.
        """
        if x.shape[0] not in self._losses:  # there are few chunk sizes, and each is reused
            self._losses[x.shape[0]] = self._loss(self._net.outputs, x.shape[0])
        self._last = self._losses[x.shape[0]]
        with torch.inference_mode(mode=False), torch.set_grad_enabled(training), self._own_random_numbers():
            rows = x[:, :-1].clone()
            if training and self._augment:
                rows = self._augment(rows)
            self._found = self._net.train(training and rows.shape[0] > 1)(rows)  # (n, V)
        self._last.outputs.copy_(self._found.detach().T)
        return self._last.answers()

    def loss(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the loss of the rows, weighted by their shares, without the penalty; see `FlatMLP.loss`."""
        return self._last.mean(answers, y, share)

    def backward(self, y: Tensor, share: Tensor) -> None:
        """Add the gradient of loss and penalty of the last forward pass with `training`."""
        delta = self._last.gradient(y, share).T
        with torch.inference_mode(mode=False):
            torch.autograd.backward(self._found, delta.clone())
            if self._l1:
                penalty = torch.stack([weights.abs().sum() for weights in self._weights]).sum()
                torch.autograd.backward(self._l1 * float(share.sum()) * penalty)

    def write_back(self) -> None:
        """Copy parameters and statistics back into the network."""
        self._published.load_state_dict(self._net.state_dict())

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        """Make torch's default generator, from which layers draw, that of this network for a while."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(self._random)
            yield
            self._random = torch.default_generator.get_state()
