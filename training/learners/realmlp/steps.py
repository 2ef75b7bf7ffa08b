"""One training step of several networks: dropout, loss, gradient, AdamW.

It must not know data sets, epochs or reports.

Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
Tabular Data", NeurIPS 2024, appendix A.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from modelstore.overrides import RealMLPSettings
from training.learners.realmlp.network import Layer, Networks, Output
from training.learners.realmlp.schedule import coslog4, flat_cos

RATE_OF_CLASSES, RATE_OF_VALUES = 0.04, 0.2
BETAS = (0.9, 0.95)
SCALE_RATE, EMBEDDING_RATE, BIAS_RATE, BLEND_RATE = 6.0, 0.1, 0.1, 0.1  # factors of the learning rate
LEAST_DEVIATION = 0.05  # of a first output, where hardly any row differs
SIMPLEX = 5  # outputs that are mixed for a first bias


def initialise(networks: Networks, dense: Tensor, codes: Tensor) -> None:
    """Draw weights so that each unit has deviation 1 on these rows, and biases so that it is 0 somewhere among them.

    A bias is minus a random convex mixture of five of the unit's outputs ("he+5").

    Args:
        networks: the networks.
        dense: numbers of rows for each network, (M, n, D).
        codes: their codes, (M, n, T).
    """
    with torch.no_grad():
        x = networks.embedding(dense, codes)
        for layer in (*networks.hidden, networks.output):
            assert isinstance(layer, Layer | Output)
            deviation = torch.matmul(x, layer.weight).std(dim=1, correction=0, keepdim=True)  # (M, 1, O)
            layer.weight.div_(deviation.clamp(min=LEAST_DEVIATION))
            outputs = torch.matmul(x, layer.weight)
            picked = torch.randint(x.shape[1], (x.shape[0], SIMPLEX, outputs.shape[2]))
            shares = torch.empty(picked.shape).exponential_()
            shares /= shares.sum(dim=1, keepdim=True)
            layer.bias.copy_(-(outputs.gather(1, picked) * shares).sum(dim=1, keepdim=True))
            x = layer(x)


class Steps:
    """Steps of a training of `total` steps.

    Args:
        networks: the networks, initialised.
        classes: K; 0 for a regression.
        total: number of steps.
        settings: learning rate, dropout and weight decay.
    """

    def __init__(self, networks: Networks, classes: int, total: int, settings: RealMLPSettings) -> None:
        self._networks, self._classes, self._total, self._done = networks, classes, total, 0
        self._rate = settings.lr or (RATE_OF_CLASSES if classes else RATE_OF_VALUES)
        self._dropout, self._decay = settings.dropout, settings.weight_decay
        self._optimizer = torch.optim.AdamW(_make_groups(networks), lr=self._rate, betas=BETAS, fused=True)

    @property
    def rate(self) -> float:
        """Return the learning rate of the last step, before the factors of the kinds of weights."""
        return self._rate * coslog4((self._done - 1) / self._total)

    def step(self, dense: Tensor, codes: Tensor, y: Tensor) -> Tensor:
        """Take a step on a batch for each network, and return the mean loss of each, (M,).

        Args:
            dense: numbers, (M, B, D).
            codes: codes, (M, B, T).
            y: class indices (M, B), or standardised values (M, B).
        """
        t = self._done / self._total
        losses = self._losses(self._forward(dense, codes, self._dropout * flat_cos(t)), y)
        self._optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        table = self._networks.embedding.table
        if table.grad is not None:
            table.grad[:, : self._networks.embedding.fixed] = 0
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * group["rate"] * coslog4(t)
            group["weight_decay"] = self._decay * group["decay"] * flat_cos(t)
        self._optimizer.step()
        self._done += 1
        return losses.detach()

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the gradient of the last step."""
        found = [weights.grad for weights in self._networks.parameters() if weights.grad is not None]
        return float(torch.stack([gradient.square().sum() for gradient in found]).sum().sqrt())

    def _forward(self, dense: Tensor, codes: Tensor, dropout: float) -> Tensor:
        x = self._networks.embedding(dense, codes) * self._networks.scale
        for layer in self._networks.hidden:
            x = layer(x)
            if dropout:
                x = x * _draw_mask(x.shape, dropout)
        outputs: Tensor = self._networks.output(x)
        return outputs

    def _losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        if not self._classes:
            return (outputs[:, :, 0] - y).square().mean(dim=1)
        losses = cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none")
        return losses.view(y.shape).mean(dim=1)


def _draw_mask(shape: torch.Size, dropout: float) -> Tensor:
    """Return 0 for dropped activations, else 1 / (1 - p): eight of them for each random number, as drawing is slow."""
    count = math.prod(shape)
    drawn = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:count]
    dropped = round(256 * dropout)
    return (drawn >= dropped).view(shape).to(torch.float32) * (256 / (256 - dropped))


def _make_groups(networks: Networks) -> list[dict[str, Any]]:
    """Return the weights with factors of learning rate and weight decay.

    The paper divides the product of a layer of I inputs by sqrt(I). Here the weights are smaller by that factor
    instead, and so are their steps: Adam's do not depend on the size of gradients.
    """
    embedding = networks.embedding
    groups: list[dict[str, Any]] = [
        {"params": [embedding.frequency, embedding.phase, embedding.mix, embedding.shift], "rate": EMBEDDING_RATE},
        {"params": [embedding.table], "rate": EMBEDDING_RATE, "decay": 0.0},
        {"params": [networks.scale], "rate": SCALE_RATE},
    ]
    for layer in (*networks.hidden, networks.output):
        assert isinstance(layer, Layer | Output)
        root = math.sqrt(embedding.used if layer is networks.hidden[0] else layer.weight.shape[1])
        groups.append({"params": [layer.weight], "rate": 1 / root, "decay": root})
        groups.append({"params": [layer.bias], "rate": BIAS_RATE, "decay": 0.0})
        if isinstance(layer, Layer):
            groups.append({"params": [layer.blend], "rate": BLEND_RATE})
    return [{"decay": 1.0, **group} for group in groups]
