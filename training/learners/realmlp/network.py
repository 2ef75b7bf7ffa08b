"""RealMLP networks of one shape, computed together, and the modules that publish them.

All weights have a leading dimension of M networks, so one batched product does the work of M. It must not know data or
training. N is rows and K classes everywhere.

Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
Tabular Data", NeurIPS 2024, section 3 and appendix A.
"""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
import itertools
import math

import torch
from torch import Tensor, nn

from training.learners.realmlp.inputs import EMBEDDED, Inputs
from training.preprocessing.scaler import StandardScaler

FREQUENCY = 0.1
WAVES = 16  # periodic functions of each number
MIXED = 3  # linear combinations of them, beside the number itself


class Embedding(nn.Module):
    """Numbers and codes to the inputs of the first layer.

    Of a number x, waves cos(2 pi w x + b) are mixed linearly and put beside it ("PBLD"). Categories of up to 8 values
    are one-hot; longer ones have learnt vectors.

    Args:
        frequency: deviation of the frequencies at first.

    Attributes:
        frequency, phase: w and b, (M, C, 1, 16).
        mix, shift: weights and biases of the mixture, (M, C, 16, 3) and (M, C, 1, 3).
        table: vectors of the codes of all columns, (M, V, 8).
        offset: where each network's vectors begin, int64 (M, 1, 1).
        fixed: number of codes whose vectors are not learnt: row 0 and those of one-hot columns.
        width: number of outputs, with those of one-hot columns that are always 0; `used` without them.
    """

    offset: Tensor

    def __init__(self, inputs: Inputs, models: int, frequency: float) -> None:
        super().__init__()
        self.numbers = inputs.numbers
        self.frequency = nn.Parameter(frequency * torch.randn(models, self.numbers, 1, WAVES))
        self.phase = nn.Parameter(math.pi * (2 * torch.rand(models, self.numbers, 1, WAVES) - 1))
        self.mix = nn.Parameter((2 * torch.rand(models, self.numbers, WAVES, MIXED) - 1) / math.sqrt(WAVES))
        self.shift = nn.Parameter((2 * torch.rand(models, self.numbers, 1, MIXED) - 1) / math.sqrt(WAVES))
        one_hot = torch.cat([torch.zeros(1, EMBEDDED), *(torch.eye(EMBEDDED)[:size] for size in inputs.one_hot)])
        self.fixed = len(one_hot)
        learnt = torch.randn(models, inputs.codes - self.fixed, EMBEDDED)
        self.table = nn.Parameter(torch.cat([one_hot.expand(models, -1, -1), learnt], dim=1))
        self.register_buffer("offset", inputs.codes * torch.arange(models)[:, None, None])
        self.has_numbers, self.has_texts = self.numbers > 0, inputs.texts.shape[0] > 0
        self.width = MIXED * self.numbers + inputs.width + EMBEDDED * inputs.texts.shape[0]
        self.used = self.width - sum(EMBEDDED - size for size in inputs.one_hot)

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Return the inputs, (M, N, E), of numbers (M or 1, N, D) and codes (M or 1, N, T)."""
        parts = [dense.expand(self.table.shape[0], -1, -1)]
        if self.has_numbers:
            x = dense[:, :, : self.numbers].transpose(1, 2).unsqueeze(3)  # (M or 1, C, N, 1)
            waves = torch.cos(x * (2 * math.pi * self.frequency) + self.phase)  # (M, C, N, 16)
            mixed = torch.matmul(waves, self.mix) + self.shift  # (M, C, N, 3)
            parts.append(mixed.transpose(1, 2).flatten(2))
        if self.has_texts:
            parts.append(nn.functional.embedding(codes + self.offset, self.table.flatten(0, 1)).flatten(2))
        return torch.cat(parts, dim=2)


class Layer(nn.Module):
    """A linear layer of M networks, with an activation that each unit blends with the identity.

    Attributes:
        weight: (M, I, O); `bias` (M, 1, O).
        blend: a in x + a (f(x) - x), (M, 1, O), where f is SELU, of a regression Mish.
    """

    def __init__(self, models: int, inputs: int, outputs: int, *, mish: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(models, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(models, 1, outputs))
        self.blend = nn.Parameter(torch.ones(models, 1, outputs))
        self.mish = mish

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations, (M, N, O), of inputs (M, N, I)."""
        x = torch.baddbmm(self.bias, x, self.weight)
        return torch.lerp(x, nn.functional.mish(x) if self.mish else torch.selu(x), self.blend)


class Output(nn.Module):
    """The last linear layer of M networks; shapes as in `Layer`."""

    def __init__(self, models: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(models, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(models, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (M, N, O), of inputs (M, N, I)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def sharpen(self, sharpness: float) -> None:
        """Multiply the outputs by a number."""
        with torch.no_grad():
            self.weight.mul_(sharpness)
            self.bias.mul_(sharpness)


class Networks(nn.Module):
    """M networks: embedding, hidden layers, outputs. Two classes have two outputs; a regression has one.

    Args:
        frequency: as of `Embedding`.

    Attributes:
        scale: learnt factor of each input, (M, 1, E).
    """

    def __init__(
        self, inputs: Inputs, models: int, classes: int, hidden: tuple[int, ...], frequency: float = FREQUENCY
    ) -> None:
        super().__init__()
        self.embedding = Embedding(inputs, models, frequency)
        self.scale = nn.Parameter(torch.ones(models, 1, self.embedding.width))
        widths = (self.embedding.width, *hidden)
        shapes = itertools.pairwise(widths)
        self.hidden = nn.ModuleList(Layer(models, before, after, mish=not classes) for before, after in shapes)
        self.output = Output(models, hidden[-1], max(1, classes))

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Return logits (M, N, K) or standardised values (M, N, 1); arguments as of `Embedding`."""
        x = self.embedding(dense, codes) * self.scale
        for layer in self.hidden:
            x = layer(x)
        outputs: Tensor = self.output(x)
        return outputs


class RealMLPClassifier(nn.Module):
    """Cells to class probabilities: the mean of those of M networks."""

    def __init__(self, inputs: Inputs, networks: Networks) -> None:
        super().__init__()
        self.inputs = inputs
        self.networks = networks

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities, float32 (N, K), rows summing to 1, from cells, float32 (N, W)."""
        dense, codes = self.inputs(features)
        logits = self.networks(dense.unsqueeze(0), codes.unsqueeze(0))
        probabilities: Tensor = torch.softmax(logits, dim=2).mean(dim=0)
        return probabilities  # (N, K)


class RealMLPRegressor(nn.Module):
    """Cells to values: the mean of those of M networks, each clamped to the range of the training targets.

    Attributes:
        mean, scale: of the target in the training rows, (1,) float32.
        lowest, highest: the standardised range.

    Args:
        limits: the standardised range.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: Inputs, networks: Networks, target: StandardScaler, limits: tuple[float, float]) -> None:
        super().__init__()
        self.inputs = inputs
        self.networks = networks
        self.register_buffer("mean", target.mean)
        self.register_buffer("scale", target.scale)
        self.lowest, self.highest = limits

    def forward(self, features: Tensor) -> Tensor:
        """Return values in the unit of the target, float32 (N, 1), from cells, float32 (N, W)."""
        dense, codes = self.inputs(features)
        outputs = self.networks(dense.unsqueeze(0), codes.unsqueeze(0))
        values: Tensor = outputs.clamp(self.lowest, self.highest).mean(dim=0) * self.scale + self.mean
        return values  # (N, 1)
