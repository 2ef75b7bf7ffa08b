"""Which of several content types a client likes best, by its Accept header (RFC 9110, section 12.5.1); no routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAX_RANGES = 32  # of a header; what is behind them is passed over

_QUALITY = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)

Range = tuple[str, float]


def preferred(header: str | None, offers: Sequence[str]) -> str:
    """Return the offer of the highest quality; of equals the one that is named most exactly, then first.

    Args:
        header: `Accept`, if there is one.
        offers: content types without parameters, best first; the first is the answer to who wants none of them.
    """
    ranges = _ranges(header or "*/*")
    marks = [_mark(offer, ranges) for offer in offers]
    best = max(marks)
    return offers[marks.index(best)] if best[0] > 0 else offers[0]


def _ranges(header: str) -> list[Range]:
    found = []
    for part in header.split(",", MAX_RANGES)[:MAX_RANGES]:
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        qualities = [match[1] for parameter in parameters if (match := _QUALITY.fullmatch(parameter))]
        found.append((kind.lower(), float(qualities[0]) if qualities else 1.0))
    return found


def _mark(offer: str, ranges: Iterable[Range]) -> tuple[float, int, int]:
    """Return quality, exactness and place of the range that fits most exactly."""
    fitting = {"*/*": 1, offer.partition("/")[0] + "/*": 2, offer: 3}
    fits = [(fitting[kind], -place, quality) for place, (kind, quality) in enumerate(ranges) if kind in fitting]
    exactness, place, quality = max(fits, default=(0, 0, 0.0))
    return quality, exactness, place
