"""Rate limits by token buckets, and the limits of a connection.

This module must not know HTTP.
"""

from __future__ import annotations

import functools
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# A bucket that is full again carries no information and may be dropped; more than this many in use indicate an attack.
MAX_BUCKETS = 32_768
_IPV6_SITE_BITS = 64  # the smallest network that a provider assigns to a client


@dataclass(frozen=True, slots=True)
class ReceiveLimits:
    """Limits of a connection.

    Attributes:
        max_head_bytes: largest request line with all headers.
        max_headers: most headers of a request.
        timeout_s: deadline for the headers; the body gets this plus its size / `min_rate`.
        min_rate: lowest average rate of a body in bytes per second; time in which it is not read does not count.
        send_timeout_s: deadline for a client to read a piece of its response.
        max_connections: most connections of this process; beyond that, those that send nothing are closed.
    """

    max_head_bytes: int
    max_headers: int
    timeout_s: float
    min_rate: int
    send_timeout_s: float
    max_connections: int


class TokenBuckets:
    """Token buckets, each refilled at a constant rate up to a burst; all start full.

    A bucket is one number, the time at which it will be full (the generic cell rate algorithm), on the monotonic
    clock. When there are too many, the least recently used one is dropped.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: int,
        *,
        max_buckets: int = MAX_BUCKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty collection of buckets.

        Args:
            rate_per_s: tokens that a bucket regains per second, > 0.
            burst: tokens in a full bucket, >= 1.
            max_buckets: most buckets to keep.
            clock: returns monotonic time in seconds.
        """
        self._token_s = 1 / rate_per_s
        self._full_s = burst / rate_per_s
        self._max_buckets = max_buckets
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token from a bucket; return 0, or if the bucket is empty, the seconds until the next token."""
        now = self._clock()
        buckets = self._full_at
        full_at = max(buckets.get(name, now), now) + self._token_s
        if (missing_s := full_at - now - self._full_s) > 1e-9:  # tolerates rounding errors
            buckets.move_to_end(name)  # otherwise it would be dropped, and be full again
            return missing_s
        buckets[name] = full_at
        buckets.move_to_end(name)
        if len(buckets) > self._max_buckets:
            buckets.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at)


@functools.lru_cache(maxsize=1024)
def site_of(address: str) -> str:
    """Return the bucket name of a client: its address, or for IPv6 its /64 network, which belongs to one client."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
