"""Change images of training steps at random, in ways that do not change what they show.

It must not know networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modelstore.overrides import Image


class Augmentation:
    """Shift, mirror and blur each image on its own; all draws come from torch's default generator.

    Args:
        image: what a row is.
        shift: the most pixels by which an image moves along each axis; its border is repeated where it leaves a gap.
        flip: whether half of the images are mirrored left to right.
        noise: standard deviation of normal noise, in that of all pixels of a channel.
    """

    def __init__(self, image: Image, *, shift: int = 0, flip: bool = False, noise: float = 0.0) -> None:
        self._image, self._shift, self._flip, self._noise = image, shift, flip, noise

    def __call__(self, rows: Tensor) -> Tensor:
        """Return changed rows, float32 (n, C x H x W)."""
        if self._shift or self._flip:
            rows = self._move(rows)
        return rows + self._noise * torch.randn(rows.shape) if self._noise else rows

    def _move(self, rows: Tensor) -> Tensor:
        """Return rows whose pixels come from other places of the same image."""
        count, height, width = rows.shape[0], self._image.height, self._image.width
        down, right = torch.randint(-self._shift, self._shift + 1, (2, count, 1))  # (n, 1) each
        lines = (torch.arange(height) - down).clamp(0, height - 1)  # (n, H)
        columns = (torch.arange(width) - right).clamp(0, width - 1)  # (n, W)
        if self._flip:
            columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
        places = (lines[:, :, None] * width + columns[:, None, :]).reshape(count, 1, height * width)
        planes = rows.reshape(count, self._image.channels, height * width)
        return planes.gather(2, places.expand_as(planes)).reshape(count, -1)
