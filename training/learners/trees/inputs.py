"""Cells to the columns that trees test, as a torch module of the published model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.data.columns import Column, cells_of
from training.preprocessing.encoder import calendar

MOST_CODES = 255  # of a categorical column, as many as scikit-learn's boosting tells apart
DATE_PARTS = 3  # year, month and weekday; days and seconds are cells, of which the other parts are functions


class Inputs(nn.Module):
    """Select and expand the cells of each row: codes of categories first, then numbers; NaN is missing.

    Numbers are all other cells as they are, and year, month and weekday of each date. Of more than 255 codes, the
    first 254, which are the most frequent categories, stay what they are, and all others share one.

    Attributes:
        texts: cells of codes, int64 (T,).
        numbers: all other cells, int64.
        days: first cell of each date, int64 (D,).
        width: number of columns.
    """

    texts: Tensor
    numbers: Tensor
    days: Tensor

    def __init__(self, texts: Sequence[int], numbers: Sequence[int], days: Sequence[int]) -> None:
        super().__init__()
        for name, cells in {"texts": texts, "numbers": numbers, "days": days}.items():
            self.register_buffer(name, torch.tensor(cells, dtype=torch.int64))
        self.has_texts, self.last_code = len(texts) > 0, MOST_CODES - 1
        self.dates, self.parts = len(days), DATE_PARTS * len(days)
        self.width = len(texts) + len(numbers) + self.parts

    def forward(self, x: Tensor) -> Tensor:
        """Return the columns, float32 (N, C), of cells, float32 (N, W)."""
        columns = [x.index_select(1, self.numbers)]
        if self.has_texts:
            columns.insert(0, x.index_select(1, self.texts).clamp(max=self.last_code))
        if self.dates > 0:
            parts = calendar(x.index_select(1, self.days), x.index_select(1, self.days + 1))
            columns.append(parts.narrow(1, self.dates, self.parts))  # after the days themselves
        return torch.cat(columns, dim=1)


def inputs_of(columns: Sequence[Column]) -> Inputs:
    """Return the module for rows of these columns; nothing is fitted."""
    cells = list(zip(columns, cells_of(tuple(columns)), strict=True))
    others = [(column, place) for column, place in cells if column.type != "categorical"]
    return Inputs(
        texts=[place.start for column, place in cells if column.type == "categorical"],
        numbers=[cell for _, place in others for cell in range(place.start, place.stop)],
        days=[place.start for column, place in others if column.type == "datetime"],
    )


def codes_of(columns: Sequence[Column]) -> tuple[int, ...]:
    """Return the number of codes of each categorical column, "other" included, as `Inputs` makes them."""
    return tuple(min(len(column.texts) + 1, MOST_CODES) for column in columns if column.type == "categorical")
