"""Split the training rows of each epoch into batches and chunks.

A full batch is one step per epoch; otherwise each row is in one shuffled mini-batch. In both cases rows go through the
network in chunks, so the memory of a step does not grow with the number of rows. It must not know networks, schedules
or reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from training.data.dataset import Dataset
from training.preprocessing.encoder import Encoder

CHUNK_ROWS = 2048  # the activations of one chunk fit into the processor's cache
MAX_ENCODED_BYTES = 256 << 20  # larger inputs, if they are wider than the cells, are encoded chunk by chunk


class Chunk(NamedTuple):
    """Rows that go through the network together.

    Attributes:
        x: encoded rows, and ones in the last column, float32 (n, E + 1).
        y: class indices, int64, or standardised values, float32 (1, n).
        share: weight of each row in the mean loss of its batch, float32 (n,); the weights of a batch sum to 1.
    """

    x: Tensor
    y: Tensor
    share: Tensor


class Batch(NamedTuple):
    """The rows of one step, in chunks."""

    rows: int
    chunks: Iterable[Chunk]


class Batches:
    """The batches of one epoch, reshuffled at each iteration.

    Args:
        dataset: the rows, with targets in the form that the loss takes.
        encoder: encodes the rows, exactly as in the published model.
        weights: weight of each class, (K,); None weights all rows equally.
        batch_size: rows per batch; 0 is the full batch, unshuffled.
        seed: seed of the shuffling.
    """

    def __init__(
        self, dataset: Dataset, encoder: Encoder, weights: Tensor | None, batch_size: int = 0, seed: int = 0
    ) -> None:
        x, self._y, self._weights = torch.from_numpy(dataset.x), torch.from_numpy(dataset.y), weights
        self._encoder = encoder
        self._is_encoded = encoder.width <= x.shape[1] or 4 * len(x) * (encoder.width + 1) <= MAX_ENCODED_BYTES
        self._x = self._encode(x) if self._is_encoded else x
        self._size = batch_size if 0 < batch_size < len(x) else 0
        self._shuffle = torch.Generator().manual_seed(seed)
        self._whole = Batch(len(x), tuple(self._chunks(None))) if self._is_encoded and not self._size else None

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows of one epoch, each in one batch."""
        if not self._size:
            yield self._whole or Batch(len(self._y), self._chunks(None))
            return
        for index in torch.split(torch.randperm(len(self._y), generator=self._shuffle), self._size):
            yield Batch(index.shape[0], self._chunks(index))

    def _chunks(self, index: Tensor | None) -> Iterator[Chunk]:
        """Yield the rows at the given positions, or all, in chunks."""
        y = self._y if index is None else self._y.index_select(0, index)
        if self._weights is None:
            share = torch.full(y.shape, 1 / y.shape[0])
        else:
            share = self._weights[y] / self._weights[y].sum()
        for start in range(0, y.shape[0], CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            x = self._x[part] if index is None else self._x.index_select(0, index[part])
            yield Chunk(x if self._is_encoded else self._encode(x), y[None, part], share[part])

    def _encode(self, cells: Tensor) -> Tensor:
        """Return the encoded rows, and ones in the last column, float32 (n, E + 1)."""
        encoded = torch.ones(len(cells), self._encoder.width + 1)
        for start in range(0, len(cells), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            encoded[part, :-1] = self._encoder(cells[part])
        return encoded


def class_weights(dataset: Dataset) -> Tensor:
    """Return the inverse frequency of each class, float32 (K,), scaled to 1 for a class of average size."""
    classes = len(dataset.classes)
    return len(dataset) / (classes * torch.from_numpy(dataset.y).bincount(minlength=classes).clamp(min=1))
