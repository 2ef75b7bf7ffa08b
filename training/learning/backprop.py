"""Loss and gradient of an MLP, worked out by hand in buffers of its own; it must not know optimisers or epochs.

For networks as small as ours autograd costs several times the arithmetic. Here a layer is one matrix product forward
and two backward: activations lie feature by feature with a last row of ones, (W + 1, n), so weights and bias are one
matrix (V, W + 1), and so is their gradient. n is rows of a chunk, W and V are widths of neighbouring layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.nets import MLP

CHUNK_ROWS = 2048  # the activations of one chunk stay in the processor's cache


class Parameters:
    """All parameters of a network as one vector, and their gradient as another.

    Attributes:
        values, gradient: (P,) float32, layer after layer.
        layers, gradients: views of them, (V, W + 1) a layer; the last column is the bias.
    """

    def __init__(self, net: MLP) -> None:
        self._linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        layers = [torch.cat((linear.weight, linear.bias[:, None]), dim=1).detach() for linear in self._linears]
        self.values = torch.cat([layer.flatten() for layer in layers])
        self.gradient = torch.zeros_like(self.values)
        sizes = [layer.numel() for layer in layers]
        self.layers, self.gradients = (
            [part.view_as(layer) for part, layer in zip(torch.split(vector, sizes), layers, strict=True)]
            for vector in (self.values, self.gradient)
        )

    def write_back(self) -> None:
        """Put the values into the network that they came from."""
        with torch.no_grad():
            for linear, layer in zip(self._linears, self.layers, strict=True):
                linear.weight.copy_(layer[:, :-1])
                linear.bias.copy_(layer[:, -1])


class Pass:
    """Forward and backward for chunks of one number of rows; call it in inference mode.

    Args:
        parameters: read forward; their gradient is added to backward.
        rows: n.
        dropout: probability of dropping an activation of the last hidden layer.
    """

    def __init__(self, parameters: Parameters, rows: int, dropout: float = 0.0) -> None:
        *hidden, logits = (len(layer) for layer in parameters.layers)
        self._layers, self._gradients = parameters.layers, parameters.gradients
        self._downward = [layer[:, :-1].T for layer in parameters.layers]  # (W, V)
        self._activations = [torch.ones(width + 1, rows) for width in hidden]
        self._hidden = [activations[:-1] for activations in self._activations]  # (W, n)
        self._deltas = [torch.empty(width, rows) for width in hidden]
        self._logits = torch.zeros(max(2, logits), rows)  # two classes share one logit: that of class 0 stays 0
        self._log_p, self._error = torch.empty_like(self._logits), torch.empty_like(self._logits)
        self._outputs, self._delta = self._logits[-logits:], self._error[-logits:]
        self._likelihood, self._minus_one = torch.empty(1, rows), torch.full((1, rows), -1.0)
        self._keep = 1 - dropout
        self._kept = torch.empty(rows, hidden[-1]) if hidden and dropout else None

    def loss(self, x: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the negative log likelihood of the rows, each times its share.

        Args:
            x: standardised features and a last column of ones, float32 (n, F + 1).
            y: class indices, int64 (1, n).
            share: weight of each row, float32 (n,).
        """
        inputs = x.T  # (F + 1, n)
        for layer, hidden, activations in zip(self._layers[:-1], self._hidden, self._activations, strict=True):
            torch.mm(layer, inputs, out=hidden).relu_()
            inputs = activations
        if self._kept is not None:  # drawn row by row, as nn.Dropout draws
            self._hidden[-1].mul_(self._kept.bernoulli_(self._keep).div_(self._keep).T)
        torch.mm(self._layers[-1], inputs, out=self._outputs)
        torch.log_softmax(self._logits, 0, out=self._log_p)  # (K, n)
        return torch.dot(torch.gather(self._log_p, 0, y, out=self._likelihood)[0], share).neg_()

    def add_gradient(self, x: Tensor, y: Tensor, share: Tensor) -> None:
        """Add the gradient of that very `loss`; its activations are used up."""
        # softmax minus the truth
        torch.exp(self._log_p, out=self._error).scatter_add_(0, y, self._minus_one).mul_(share)
        above, dropped = self._delta, self._kept is not None
        for number in range(len(self._hidden), 0, -1):
            self._gradients[number].addmm_(above, self._activations[number - 1].T)
            delta = torch.mm(self._downward[number], above, out=self._deltas[number - 1])  # (W, n)
            delta.mul_(self._hidden[number - 1].sign_())  # 1 where ReLU and dropout let pass, 0 elsewhere
            if dropped:
                delta.div_(self._keep)
            above, dropped = delta, False
        self._gradients[0].addmm_(above, x)
