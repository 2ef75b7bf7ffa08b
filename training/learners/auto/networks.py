"""The plain network as a fold learner: all folds are answered by one product a layer.

N is rows, E inputs of the networks, M networks and K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.evaluation.metrics import Ints
from training.learners.mlp.fit import MLPLearner
from training.learners.mlp.network import ValueLink
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.preprocessing.encoder import Encoder, fit_encoder


class Layer(nn.Module):
    """One linear layer of M networks.

    Attributes:
        weight: (M, inputs, outputs) float32.
        bias: (M, 1, outputs) float32.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([layer.weight.detach().T for layer in layers]))
        self.register_buffer("bias", torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (M, N, outputs) of inputs (M, N, inputs)."""
        outputs: Tensor = torch.baddbmm(self.bias, x, self.weight)
        return outputs


class FoldedNetworks(nn.Module):
    """The mean answer of M networks of the same widths behind one encoder.

    Attributes:
        mean, scale: of the target in the training rows of each network, (M, 1, 1) float32; 0 and 1 of classes.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: Encoder, modules: Sequence[Any], classes: int) -> None:
        """Take the weights of modules that have this encoder, a `net` and a `link`."""
        super().__init__()
        self.expand, self.scaler = encoder.expand, encoder.scaler
        linear = [[layer for layer in module.net.layers if isinstance(layer, nn.Linear)] for module in modules]
        *hidden, last = (Layer(layers) for layers in zip(*linear, strict=True))
        self.hidden, self.last = nn.ModuleList(hidden), last
        links = [module.link if isinstance(module.link, ValueLink) else None for module in modules]
        scales = [(link.mean, link.scale) if link else (torch.zeros(1), torch.ones(1)) for link in links]
        self.register_buffer("mean", torch.stack([mean[None] for mean, _ in scales]))
        self.register_buffer("scale", torch.stack([scale[None] for _, scale in scales]))
        self.models, self.classes = len(modules), classes

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, K) or values (N, 1), float32, of cells, float32 (N, W)."""
        outputs = self.scaler(self.expand(x)).unsqueeze(0).expand(self.models, -1, -1)  # (M, N, E)
        for layer in self.hidden:
            outputs = torch.relu(layer(outputs))
        outputs = self.last(outputs) * self.scale + self.mean  # (M, N, 1 or K)
        if self.classes == 2:
            outputs = torch.cat((torch.sigmoid(-outputs), torch.sigmoid(outputs)), dim=2)
        elif self.classes > 0:
            outputs = torch.softmax(outputs, dim=2)
        answers: Tensor = outputs.mean(dim=0)
        return answers  # (N, K)


class NetworksLearner:
    """Fits a plain network for each fold, which its held-out rows stop; see `FoldLearner`."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit one network; see `Learner.fit`."""
        return MLPLearner(self._settings).fit(train, validation, report, probe)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Fit the networks on inputs of one encoder, which has seen all rows; see `FoldLearner.fit_folds`."""
        encoder = fit_encoder(train)
        learner = MLPLearner(self._settings, encoder)
        modules, answers = [], np.zeros((len(train), max(1, len(train.classes))), dtype=np.float32)
        for held_out in folds:
            rest = np.setdiff1d(np.arange(len(train)), held_out)
            module = learner.fit(train.rows(rest), train.rows(held_out), report).module
            answers[held_out] = predictor(module)(train.x[held_out])
            modules.append(module)
        return Fitted(FoldedNetworks(encoder, modules, len(train.classes)).eval(), held_out=HeldOut.at(answers, train))
