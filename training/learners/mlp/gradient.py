"""Forward pass, loss and backward pass of an MLP without autograd.

For small networks, autograd costs several times the arithmetic, and allocating new tensors in each step up to a fifth.
Here a layer is one matrix product forward and two backward: activations are stored feature by feature with ones in the
last row, (W + 1, n), so weights and bias are one matrix (V, W + 1), and so is their gradient. n is the number of rows
of a chunk, W and V are the widths of neighbouring layers. It must not know optimizers or epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.learners.mlp.network import MLP


class FlatMLP:
    """An MLP with all parameters in one vector and their gradient in another.

    Args:
        net: source of the initial parameters, and target of `write_back`.
        dropout: probability of dropping an activation of the last hidden layer.
        generator: random generator for dropout; torch's default generator if None.

    Attributes:
        parameters, gradient: (P,) float32, layer after layer, each (V, W + 1) with the bias as its last column.
    """

    def __init__(self, net: MLP, dropout: float = 0.0, generator: torch.Generator | None = None) -> None:
        self._linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        layers = [torch.cat((linear.weight, linear.bias[:, None]), dim=1).detach() for linear in self._linears]
        self.parameters = torch.cat([layer.flatten() for layer in layers])
        self.gradient = torch.zeros_like(self.parameters)
        sizes = [layer.numel() for layer in layers]
        self._layers, self._gradients = (
            [part.view_as(layer) for part, layer in zip(torch.split(vector, sizes), layers, strict=True)]
            for vector in (self.parameters, self.gradient)
        )
        self._transposed = [layer[:, :-1].T for layer in self._layers]  # (W, V)
        self._keep, self._generator = 1 - dropout if len(layers) > 1 else 1, generator
        self._buffers: dict[int, _Buffers] = {}

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Return log probabilities (K, n), valid until the next call; `backward` needs them unchanged.

        Args:
            x: standardised features, and ones in the last column, float32 (n, F + 1).
            training: whether dropout is applied.
        """
        if x.shape[0] not in self._buffers:  # there are few chunk sizes, and each is reused
            self._buffers[x.shape[0]] = _Buffers([layer.shape[0] for layer in self._layers], x.shape[0])
        self._x, buffers = x, self._buffers[x.shape[0]]
        self._last, inputs = buffers, x.T  # (F + 1, n)
        for layer, hidden, activations in zip(self._layers[:-1], buffers.hidden, buffers.activations, strict=True):
            torch.mm(layer, inputs, out=hidden).relu_()
            inputs = activations
        if training and self._keep < 1:  # drawn row by row, as nn.Dropout draws
            kept = buffers.kept.bernoulli_(self._keep, generator=self._generator).div_(self._keep)
            buffers.hidden[-1].mul_(kept.T)
        torch.mm(self._layers[-1], inputs, out=buffers.outputs)
        return torch.log_softmax(buffers.logits, 0, out=buffers.log_p)

    def loss(self, log_p: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the negative log likelihood of the rows, weighted by their shares.

        Args:
            log_p: log probabilities from `forward`, (K, n).
            y: class indices, int64 (1, n).
            share: weight of each row, float32 (n,).
        """
        return torch.dot(torch.gather(log_p, 0, y, out=self._last.likelihood)[0], share).neg_()

    def backward(self, y: Tensor, share: Tensor) -> None:
        """Add the gradient of the loss of the last forward pass with `training`; overwrites its activations."""
        last, keep = self._last, self._keep
        # gradient of the loss by the logits: softmax minus one-hot truth
        torch.exp(last.log_p, out=last.error).scatter_add_(0, y, last.minus_one).mul_(share)
        delta = last.delta
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

    def __init__(self, widths: list[int], rows: int) -> None:
        *hidden, logits = widths
        self.activations = [torch.ones(width + 1, rows) for width in hidden]
        self.hidden = [activations[:-1] for activations in self.activations]  # (W, n)
        self.deltas = [torch.empty(width, rows) for width in hidden]
        self.kept = torch.empty(rows, hidden[-1] if hidden else 0)
        self.logits = torch.zeros(max(2, logits), rows)  # two classes share one logit; that of class 0 stays 0
        self.log_p, self.error = torch.empty_like(self.logits), torch.empty_like(self.logits)
        self.outputs, self.delta = self.logits[-logits:], self.error[-logits:]
        self.likelihood, self.minus_one = torch.empty(1, rows), torch.full((1, rows), -1.0)
