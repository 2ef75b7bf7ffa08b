"""Change images of training steps at random, in ways that do not change what they show.

It must not know networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from modelstore.overrides import Image


class Augmentation:
    """Move, turn, resize, mirror and blur each image on its own; all draws come from torch's default generator.

    Pixels are interpolated between those of the image, whose border is repeated where a gap is left.

    Args:
        image: what a row is.
        shift: the most pixels by which an image moves along each axis.
        flip: whether half of the images are mirrored left to right.
        rotate: the most degrees by which an image is turned to either side.
        zoom: the largest share by which its sides are enlarged or reduced.
        noise: standard deviation of normal noise, in that of all pixels of a channel.
    """

    def __init__(
        self,
        image: Image,
        *,
        shift: float = 0.0,
        flip: bool = False,
        rotate: float = 0.0,
        zoom: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        self._image, self._flip, self._noise = image, flip, noise
        self._shift, self._rotate, self._zoom = shift, math.radians(rotate), zoom
        self._moves = bool(shift or flip or rotate or zoom)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return changed rows, float32 (n, C x H x W)."""
        if self._moves:
            rows = self._move(rows)
        return rows + self._noise * torch.randn(rows.shape) if self._noise else rows

    def _move(self, rows: Tensor) -> Tensor:
        """Return rows whose pixels come from other places of the same image."""
        count, height, width = rows.shape[0], self._image.height, self._image.width
        images = rows.reshape(count, self._image.channels, height, width)
        most = torch.tensor([self._rotate, self._zoom, 2 * self._shift / width, 2 * self._shift / height])
        angle, size, right, down = (most * (2 * torch.rand(count, 4) - 1)).unbind(1)  # (n,) each
        along, across = torch.cos(angle) / (1 + size), torch.sin(angle) / (1 + size)
        # where pixels come from; coordinates go from -1 to 1 along each side, hence the ratio of the sides
        places = torch.stack([along, -across * height / width, right, across * width / height, along, down], dim=1)
        places = places.reshape(count, 2, 3)
        if self._flip:
            places[torch.rand(count) < 0.5, 0] *= -1
        grid = functional.affine_grid(places, list(images.shape), align_corners=False)
        moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return moved.reshape(count, -1)
