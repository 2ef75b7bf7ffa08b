"""The tutorials' SimpleCNN: convolutions with pooling, then an MLP.

It must not know data or the training loop.
"""

import torch
from torch import Tensor, nn

from modelstore.overrides import ActivationFunction, Image
from training.learners.mlp.network import ACTIVATIONS, MLP, Network


class SimpleCNN(Network):
    """Blocks of a 3 x 3 convolution, an activation and 2 x 2 max pooling, which halves the image; then an MLP.

    Args:
        image: what a row is; each side must be at least 2 to the power of the number of blocks.
        classes: K, at least 2; 0 for a regression.
        filters: outputs of the convolution of each block.
        hidden, dropout: of the MLP.
        activation: function after each convolution and hidden layer.
        batch_norm: whether each of them is normalised by batch before its activation, in place of its bias.
    """

    def __init__(
        self,
        image: Image,
        classes: int,
        filters: tuple[int, ...],
        hidden: tuple[int, ...],
        *,
        dropout: float = 0.0,
        activation: ActivationFunction = "relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.height, self.width = image.channels, image.height, image.width
        layers: list[nn.Module] = []
        for inputs, outputs in zip((image.channels, *filters[:-1]), filters, strict=True):
            norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)
            layers += [convolution, *norm, ACTIVATIONS[activation](), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*layers)
        left = (image.height >> len(filters)) * (image.width >> len(filters))
        features = left * filters[-1]
        self.head = MLP(features, classes, hidden, dropout, activation=activation, batch_norm=batch_norm)
        self.outputs = self.head.outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return logits or standardised values (N, V) from standardised pixels (N, C x H x W)."""
        images = x.reshape(x.shape[0], self.channels, self.height, self.width)
        outputs: Tensor = self.head(torch.flatten(self.blocks(images), 1))
        return outputs
