"""Encode cells as a network's inputs, in torch modules that are published with it."""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.preprocessing.scaler import StandardScaler, compute_moments, find_constant, fit_scaler, make_scaler

PARTS = 7  # of a date: see `calendar`


class Expand(nn.Module):
    """Expand the cells of each row to columns for a network, not yet standardised; NaN is missing.

    The columns are: numbers and booleans as they are, parts of dates, one column for each category and one for all
    other texts (1 or 0; all 0 if missing), and for each column with gaps, whether the value is missing (1 or 0).

    Attributes:
        numbers: cells of numbers and booleans, int64.
        days: first cell of each date, int64 (D,).
        parts: which of the 7 x D columns of `calendar` are taken, int64.
        texts: cell of each category, int64 (T,); `codes` its code, float32 (T,).
        gaps: cells whose gaps are told, int64.
    """

    numbers: Tensor
    days: Tensor
    parts: Tensor
    texts: Tensor
    codes: Tensor
    gaps: Tensor

    def __init__(
        self,
        numbers: Sequence[int] = (),
        days: Sequence[int] = (),
        parts: Sequence[int] = (),
        texts: Sequence[tuple[int, int]] = (),
        gaps: Sequence[int] = (),
    ) -> None:
        super().__init__()
        cells = [cell for cell, _ in texts]
        for name, positions in {"numbers": numbers, "days": days, "parts": parts, "texts": cells, "gaps": gaps}.items():
            self.register_buffer(name, torch.tensor(positions, dtype=torch.int64))
        self.register_buffer("codes", torch.tensor([code for _, code in texts], dtype=torch.float32))
        self.has_dates, self.has_texts, self.has_gaps = len(parts) > 0, len(texts) > 0, len(gaps) > 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the columns, float32 (N, E), of cells, float32 (N, W)."""
        columns = [x.index_select(1, self.numbers)]
        if self.has_dates:
            parts = calendar(x.index_select(1, self.days), x.index_select(1, self.days + 1))
            columns.append(parts.index_select(1, self.parts))
        if self.has_texts:
            columns.append((x.index_select(1, self.texts) == self.codes).to(torch.float32))
        if self.has_gaps:
            columns.append(torch.isnan(x.index_select(1, self.gaps)).to(torch.float32))
        return torch.cat(columns, dim=1)


def calendar(days: Tensor, seconds: Tensor) -> Tensor:
    """Return days, year, month, weekday (Monday is 0), sine and cosine of the day of year, and hour, (N, 7 D).

    All divisions are of whole numbers below 2^24, so they are exact in float32 for the years 1 to 9999. The day of the
    year counts from 1 March, so that a leap day moves no other.

    Args:
        days: whole days since 1970-01-01, float32 (N, D).
        seconds: seconds of the day, float32 (N, D).

    Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    """
    since = days + 719468  # days since 0000-03-01
    era = torch.floor(since / 146097)  # of 400 years
    day = since - era * 146097
    of_era = torch.floor(
        (day - torch.floor(day / 1460) + torch.floor(day / 36524) - torch.floor(day / 146096)) / 365
    )  # year, 0 to 399
    day = day - (365 * of_era + torch.floor(of_era / 4) - torch.floor(of_era / 100))  # 0 to 365
    month = torch.remainder(torch.floor((5 * day + 2) / 153) + 2, 12) + 1
    year = of_era + 400 * era + (month <= 2).to(torch.float32)
    weekday = torch.remainder(days + 3, 7)
    angle = day * (2 * math.pi / 365.25)
    return torch.cat(
        [days, year, month, weekday, torch.sin(angle), torch.cos(angle), torch.floor(seconds / 3600)], dim=1
    )


class Encoder(nn.Module):
    """Cells (N, W) to the inputs of a network (N, E): `expand`, then `scaler`.

    Attributes:
        expand: an `Expand`, or the identity if all columns are numbers without gaps.
        scaler: standardises numbers and parts of dates, makes a boolean -1 or 1, and leaves all else as it is.
        width: E.
    """

    def __init__(self, expand: nn.Module, scaler: StandardScaler) -> None:
        super().__init__()
        self.expand = expand
        self.scaler = scaler
        self.width = scaler.mean.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs of a network, float32 (N, E), finite where the cells are in range."""
        encoded: Tensor = self.scaler(self.expand(x))
        return encoded


def fit_encoder(train: Dataset) -> Encoder:
    """Learn the encoder of a table from its training rows."""
    columns = list(zip(train.columns, cells_of(train.columns), strict=True))
    gaps = [cells.start for _, cells in columns if np.isnan(train.x[:, cells.start]).any()]
    if not gaps and all(column.type == "numeric" for column in train.columns):
        return Encoder(nn.Identity(), fit_scaler(train.x))
    yes_or_no = {cells.start for column, cells in columns if column.type == "boolean"}
    numbers = [cells.start for column, cells in columns if column.type in ("numeric", "boolean")]
    booleans = [place for place, cell in enumerate(numbers) if cell in yes_or_no]
    days = [cells.start for column, cells in columns if column.type == "datetime"]
    texts = [(cells.start, code) for column, cells in columns for code in _codes(column)]
    values = Expand(numbers, days, range(PARTS * len(days)))
    mean, variance = compute_moments(train.x, lambda rows: values(torch.from_numpy(rows)).numpy())  # (A + 7 D,)
    varies = ~find_constant(mean, variance, len(train))
    varies[: len(numbers)] = True  # a number is kept, constant or not, a part of a date only if it varies
    fitted = make_scaler(mean[varies], variance[varies], rows=len(train))
    fitted.mean[booleans] = fitted.scale[booleans] = 0.5
    parts = np.flatnonzero(varies[len(numbers) :]).tolist()
    rest = torch.zeros(len(texts) + len(gaps))
    scaler = StandardScaler(torch.cat([fitted.mean, rest]), torch.cat([fitted.scale, rest + 1]))
    return Encoder(Expand(numbers, days, parts, texts, gaps), scaler)


def _codes(column: Column) -> range:
    """Return the codes of a column's categories, and the one after them for all other texts."""
    return range(len(column.texts) + 1) if column.type == "categorical" else range(0)
