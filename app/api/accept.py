"""Choose a content type by the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAX_RANGES = 32  # read from a header; the rest is ignored

_QUALITY = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)

Range = tuple[str, float]


def choose_type(header: str | None, offers: Sequence[str]) -> str:
    """Return the offer with the highest quality; ties go to the most specific media range, then to the first one.

    Args:
        header: value of `Accept`, if there is one.
        offers: content types without parameters, best first; the first is returned if the client accepts none.
    """
    ranges = _parse_ranges(header or "*/*")
    matches = [_match(offer, ranges) for offer in offers]
    best = max(matches)
    return offers[matches.index(best)] if best[0] > 0 else offers[0]


def _parse_ranges(header: str) -> list[Range]:
    found = []
    for part in header.split(",", MAX_RANGES)[:MAX_RANGES]:
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        qualities = [match[1] for parameter in parameters if (match := _QUALITY.fullmatch(parameter))]
        found.append((kind.lower(), float(qualities[0]) if qualities else 1.0))
    return found


def _match(offer: str, ranges: Iterable[Range]) -> tuple[float, int, int]:
    """Return quality, specificity and negated position of the most specific range that matches the offer."""
    fitting = {"*/*": 1, offer.partition("/")[0] + "/*": 2, offer: 3}
    fits = [(fitting[kind], -place, quality) for place, (kind, quality) in enumerate(ranges) if kind in fitting]
    exactness, place, quality = max(fits, default=(0, 0, 0.0))
    return quality, exactness, place
