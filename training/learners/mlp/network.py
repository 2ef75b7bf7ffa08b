"""The multi-layer perceptron, and the modules that publish it.

They must not know data or the training loop. All three tutorial networks are this class: CancerNet is 9-15-15-1 (recipe
`cancer`), IrisNet 4-32-16-3 (`iris`), BlobsNet 2-10-1 (`blobs`). N is rows, F inputs of the
network and K classes everywhere.
"""

import torch
from torch import Tensor, nn

from modelstore.overrides import ActivationFunction, Init
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import StandardScaler

ACTIVATIONS: dict[ActivationFunction, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class Network(nn.Module):
    """A network from encoded rows (N, E) to logits or standardised values (N, V).

    Attributes:
        outputs: V.
    """

    outputs: int


class MLP(Network):
    """Linear layers with an activation between them; two classes share one logit, more have one each.

    Args:
        features: F.
        classes: K, at least 2; 0 for a regression, which has one output.
        hidden: width of each hidden layer; () is logistic regression.
        dropout: probability of dropping an activation of the last hidden layer.
        activation: function after each hidden layer.
        batch_norm: whether each hidden layer is normalised by batch before its activation, in place of its bias.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        hidden: tuple[int, ...] = (),
        dropout: float = 0.0,
        *,
        activation: ActivationFunction = "relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.outputs = logits_of(classes)
        self.widths = (features, *hidden, self.outputs)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(self.widths[:-2], self.widths[1:-1], strict=True):
            norm = [nn.BatchNorm1d(outputs)] if batch_norm else []
            layers += [nn.Linear(inputs, outputs, bias=not batch_norm), *norm, ACTIVATIONS[activation]()]
        if hidden and dropout:
            layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(self.widths[-2], self.widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 1) for two classes, (N, K) for more, or standardised values (N, 1), from encoded rows."""
        logits: Tensor = self.layers(x)
        return logits


def initialise(net: nn.Module, init: Init) -> None:
    """Draw the weights of linear and convolution layers by a rule, with biases 0; torch's own rule changes nothing.

    Source: he, normal with variance 2 / inputs: He et al., ICCV 2015, equation 10; xavier, uniform with variance
    2 / (inputs + outputs): Glorot & Bengio, AISTATS 2010, equation 16.
    """
    if init == "torch":
        return
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight) if init == "he" else nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class BinaryLink(nn.Module):
    """Convert the one logit of two classes to their two probabilities."""

    def forward(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, 2) from logits (N, 1), both precise even if close to 0."""
        return torch.cat((torch.sigmoid(-logits), torch.sigmoid(logits)), dim=1)  # (N, 2)


class Classifier(nn.Module):
    """Cells to class probabilities: encoder, network and link as one function."""

    def __init__(self, encoder: Encoder, net: Network) -> None:
        super().__init__()
        self.expand = encoder.expand
        self.scaler = encoder.scaler
        self.net = net
        self.link: nn.Module = BinaryLink() if net.outputs == 1 else nn.Softmax(dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities, float32 (N, K), rows summing to 1, from cells, float32 (N, W)."""
        probabilities: Tensor = self.link(self.net(self.scaler(self.expand(features))))
        return probabilities  # (N, K)


class ValueLink(nn.Module):
    """Convert the one output of a regression to the unit of the target.

    Attributes:
        mean: (1,) float32, of the target in the training rows.
        scale: (1,) float32, its standard deviation.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, target: StandardScaler) -> None:
        super().__init__()
        self.register_buffer("mean", target.mean)
        self.register_buffer("scale", target.scale)

    def forward(self, outputs: Tensor) -> Tensor:
        """Return values (N, 1) from standardised values (N, 1)."""
        return outputs * self.scale + self.mean


class Regressor(nn.Module):
    """Cells to values: encoder, network and link as one function."""

    def __init__(self, encoder: Encoder, net: Network, target: StandardScaler) -> None:
        super().__init__()
        self.expand = encoder.expand
        self.scaler = encoder.scaler
        self.net = net
        self.link = ValueLink(target)

    def forward(self, features: Tensor) -> Tensor:
        """Return values in the unit of the target, float32 (N, 1), from cells, float32 (N, W)."""
        values: Tensor = self.link(self.net(self.scaler(self.expand(features))))
        return values  # (N, 1)


def logits_of(classes: int) -> int:
    """Return the number of outputs of a network for K classes, or for a value if K = 0."""
    return max(1, classes) if classes != 2 else 1
