"""Cells to the inputs of a RealMLP, as a torch module of the published model.

It must not know networks.
"""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.preprocessing.encoder import PARTS, Expand, calendar

LARGEST = 1e6  # scaled numbers beyond are all the same to the smooth clip
CLIP = 3.0
EMBEDDED = 8  # width of a category's vector; columns of up to so many codes are one-hot

Cells = npt.NDArray[np.float32]


class Inputs(nn.Module):
    """Cells (N, W) to numbers and codes of categories.

    Numbers and parts of dates are centred by the median, divided by the interquartile range and clipped smoothly; a
    missing one counts as the median. Columns of two values become -1 or 1, 0 if missing or another text. For each
    column with gaps, one more tells whether the value is missing.

    Attributes:
        expand: cells to the C numbers and parts of dates.
        median, factor: (C,) float32.
        pairs: cells of booleans and of categories of two texts, int64 (P,).
        gaps: cells whose gaps are told, int64 (G,).
        texts: cells of the other categories, int64 (T,).
        last: the largest code of each that training rows had, float32 (T,).
        first: row of its code 0 in a common table of all codes, float32 (T,); row 0 stands for missing and unseen.
        numbers: C.
        width: C + P + G.
        one_hot: number of codes of each one-hot column; these columns are the first of `texts`.
        codes: number of rows of the common table.

    Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
    Tabular Data", NeurIPS 2024, section 3 and appendix A: robust scaling and smooth clipping.
    """

    median: Tensor
    factor: Tensor
    pairs: Tensor
    gaps: Tensor
    texts: Tensor
    last: Tensor
    first: Tensor

    def __init__(
        self,
        expand: Expand,
        median: Tensor,
        factor: Tensor,
        *,
        pairs: Sequence[int],
        gaps: Sequence[int],
        texts: Sequence[tuple[int, int]],
    ) -> None:
        super().__init__()
        self.expand = expand
        self.register_buffer("median", median)
        self.register_buffer("factor", factor)
        self.register_buffer("pairs", torch.tensor(pairs, dtype=torch.int64))
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.int64))
        self.register_buffer("texts", torch.tensor([cell for cell, _ in texts], dtype=torch.int64))
        sizes = [size for _, size in texts]
        self.register_buffer("last", torch.tensor(sizes, dtype=torch.float32) - 1)
        self.register_buffer("first", torch.tensor(np.cumsum([1, *sizes])[:-1], dtype=torch.float32))
        self.has_numbers, self.has_pairs, self.has_gaps = len(median) > 0, len(pairs) > 0, len(gaps) > 0
        self.numbers, self.width = len(median), len(median) + len(pairs) + len(gaps)
        self.one_hot = [size for size in sizes if size <= EMBEDDED]
        self.codes = 1 + sum(sizes)
        self.largest, self.clip = LARGEST, CLIP  # TorchScript reads no names of the file

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers, float32 (N, C + P + G), and rows of the common table of codes, int64 (N, T)."""
        dense, largest = [], self.largest
        if self.has_numbers:
            scaled = ((self.expand(x) - self.median) * self.factor).nan_to_num(0.0, largest, -largest)
            scaled = scaled.clamp(-largest, largest)
            dense.append(scaled / torch.sqrt(1 + (scaled / self.clip).square()))
        if self.has_pairs:
            pairs = x.index_select(1, self.pairs)
            dense.append(torch.where(pairs <= 1, 2 * pairs - 1, torch.zeros_like(pairs)))
        if self.has_gaps:
            dense.append(torch.isnan(x.index_select(1, self.gaps)).to(torch.float32))
        texts = x.index_select(1, self.texts)
        rows = torch.where(texts <= self.last, texts.clamp(min=0) + self.first, torch.zeros_like(texts))
        return torch.cat(dense, dim=1) if dense else x[:, :0], rows.to(torch.int64)


def fit_inputs(train: Dataset) -> Inputs:
    """Learn the inputs of a table from its training rows."""
    x, columns = train.x, list(zip(train.columns, cells_of(train.columns), strict=True))
    gaps = [cells.start for _, cells in columns if np.isnan(x[:, cells.start]).any()]
    sizes = {cells.start: _size(column, x[:, cells.start]) for column, cells in columns if column.texts}
    pairs = [cell for cell, size in sizes.items() if size <= 2]
    texts = sorted(((cell, size) for cell, size in sizes.items() if size > 2), key=lambda text: text[1] > EMBEDDED)
    numbers = [cells.start for column, cells in columns if column.type == "numeric"]
    days = [cells.start for column, cells in columns if column.type == "datetime"]
    spread = np.array([_spread(x[:, cell]) for cell in numbers]).reshape(-1, 2)
    parts = np.array([_spread(part) for day in days for part in _parts(x, day)]).reshape(len(days), PARTS, 2)
    dated = parts.swapaxes(0, 1).reshape(-1, 2)  # all dates of one part together, as `Expand` has them
    varies = np.flatnonzero(dated[:, 1])
    fitted = torch.from_numpy(np.concatenate([spread, dated[varies]])).float()
    expand = Expand(numbers, days, varies.tolist())
    return Inputs(expand, fitted[:, 0].clone(), fitted[:, 1].clone(), pairs=pairs, gaps=gaps, texts=texts)


def _size(column: Column, cell: Cells) -> int:
    """Return the number of codes, with that of other texts only if training rows have it: else nothing is learnt."""
    return len(column.texts) + int((cell == len(column.texts)).any())


def _parts(x: Cells, day: int) -> Cells:
    """Return the parts of the date whose first cell is `day`, (7, N)."""
    days, seconds = torch.from_numpy(x[:, day : day + 2].T.copy())
    parts: Cells = calendar(days[:, None], seconds[:, None]).numpy().T
    return parts


def _spread(values: Cells) -> tuple[float, float]:
    """Return median and factor of a column: 1 / interquartile range, or 2 / range if that is 0, or 0 if constant."""
    present = values[~np.isnan(values)].astype(np.float64)
    if not len(present):
        return 0.0, 0.0
    lowest, low, median, high, highest = np.quantile(present, [0, 0.25, 0.5, 0.75, 1])
    width = high - low or (highest - lowest) / 2
    return float(median), float(1 / width) if width > np.finfo(np.float32).tiny else 0.0
