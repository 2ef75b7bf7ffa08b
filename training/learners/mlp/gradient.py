"""Forward pass and backward pass of an MLP without autograd.

For small networks, autograd costs several times the arithmetic, and allocating new tensors in each step up to a fifth.
Here a layer is one matrix product forward and two backward: activations are stored feature by feature with ones in the
last row, (W + 1, n), so weights and bias are one matrix (V, W + 1), and so is their gradient. n is the number of rows
of a chunk, W and V are the widths of neighbouring layers. It must not know optimizers or epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.learners.mlp.losses import CrossEntropy, Loss
from training.learners.mlp.network import MLP


class FlatMLP:
    """An MLP with all parameters in one vector and their gradient in another.

    Args:
        net: source of the initial parameters, and target of `write_back`.
        dropout: probability of dropping an activation of the last hidden layer.
        generator: random generator for dropout; torch's default generator if None.
        loss: the loss of a chunk's outputs.

    Attributes:
        parameters, gradient: (P,) float32, layer after layer, each (V, W + 1) with the bias as its last column.
        state: all that the network learns, which is `parameters`.
    """

    def __init__(
        self, net: MLP, dropout: float = 0.0, generator: torch.Generator | None = None, loss: type[Loss] = CrossEntropy
    ) -> None:
        self._linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        layers = [torch.cat((linear.weight, linear.bias[:, None]), dim=1).detach() for linear in self._linears]
        self.parameters = torch.cat([layer.flatten() for layer in layers])
        self.gradient = torch.zeros_like(self.parameters)
        self.state = [self.parameters]
        sizes = [layer.numel() for layer in layers]
        self._layers, self._gradients = (
            [part.view_as(layer) for part, layer in zip(torch.split(vector, sizes), layers, strict=True)]
            for vector in (self.parameters, self.gradient)
        )
        self._transposed = [layer[:, :-1].T for layer in self._layers]  # (W, V)
        self._keep, self._generator = 1 - dropout if len(layers) > 1 else 1, generator
        self._buffers: dict[int, _Buffers] = {}
        self._loss = loss

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Return the answers of the loss, valid until the next call; `backward` needs them unchanged.

        Args:
            x: standardised features, and ones in the last column, float32 (n, F + 1).
            training: whether dropout is applied.
        """
        if x.shape[0] not in self._buffers:  # there are few chunk sizes, and each is reused
            self._buffers[x.shape[0]] = _Buffers([layer.shape[0] for layer in self._layers], x.shape[0], self._loss)
        self._x, buffers = x, self._buffers[x.shape[0]]
        self._last, inputs = buffers, x.T  # (F + 1, n)
        for layer, hidden, activations in zip(self._layers[:-1], buffers.hidden, buffers.activations, strict=True):
            torch.mm(layer, inputs, out=hidden).relu_()
            inputs = activations
        if training and self._keep < 1:  # drawn row by row, as nn.Dropout draws
            kept = buffers.kept.bernoulli_(self._keep, generator=self._generator).div_(self._keep)
            buffers.hidden[-1].mul_(kept.T)
        torch.mm(self._layers[-1], inputs, out=buffers.loss.outputs)
        return buffers.loss.answers()

    def loss(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the loss of the rows, weighted by their shares.

        Args:
            answers: from `forward`.
            y: targets in the form that the loss takes, (1, n).
            share: weight of each row, float32 (n,).
        """
        return self._last.loss.mean(answers, y, share)

    def backward(self, y: Tensor, share: Tensor) -> None:
        """Add the gradient of the loss of the last forward pass with `training`; overwrites its activations."""
        last, keep = self._last, self._keep
        delta = last.loss.gradient(y, share)
        for number in range(len(last.hidden), 0, -1):
            self._gradients[number].addmm_(delta, last.activations[number - 1].T)
            delta = torch.mm(self._transposed[number], delta, out=last.deltas[number - 1])  # (W, n)
            delta.mul_(last.hidden[number - 1].sign_())  # 1 where ReLU and dropout pass, 0 elsewhere
            if keep < 1:
                delta.div_(keep)
            keep = 1
        self._gradients[0].addmm_(delta, self._x)

    def write_back(self) -> None:
        """Copy the parameters back into the network."""
        with torch.no_grad():
            for linear, layer in zip(self._linears, self._layers, strict=True):
                linear.weight.copy_(layer[:, :-1])
                linear.bias.copy_(layer[:, -1])


class _Buffers:
    """Preallocated outputs of a forward and a backward pass of `rows` rows."""

    def __init__(self, widths: list[int], rows: int, loss: type[Loss]) -> None:
        *hidden, outputs = widths
        self.activations = [torch.ones(width + 1, rows) for width in hidden]
        self.hidden = [activations[:-1] for activations in self.activations]  # (W, n)
        self.deltas = [torch.empty(width, rows) for width in hidden]
        self.kept = torch.empty(rows, hidden[-1] if hidden else 0)
        self.loss = loss(outputs, rows)
