"""What is kept of predicted rows beside their labels, as values; must not know tables."""

from __future__ import annotations

from typing import NamedTuple


class KeptId(NamedTuple):
    """A caller's own id of a predicted row, which stands for its receipt.

    Attributes:
        expires_s: seconds since 1970 from which on it is no longer known.
    """

    model: str
    id: str
    receipt: str
    expires_s: int


class KeptInput(NamedTuple):
    """The inputs of a predicted row.

    Attributes:
        mac: of its receipt, the key.
        time_s: seconds since 1970 when the row was predicted.
        expires_s: seconds since 1970 from which on it is no longer kept.
        row: its values by column, as a JSON object.
    """

    mac: bytes
    model: str
    version: int
    time_s: int
    expires_s: int
    row: str


class LabelledInput(NamedTuple):
    """The inputs of a predicted row whose label came.

    Attributes:
        time_s: seconds since 1970 when the row was predicted.
        row: its values by column, as a JSON object.
        label: index of the true class, or the true quantity.
    """

    version: int
    time_s: int
    row: str
    label: float
