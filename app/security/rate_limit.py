"""What one client may cost: requests in a second, by token buckets, and bytes and time of a connection; no HTTP."""

from __future__ import annotations

import functools
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Of a bucket so long ago that it is full again, nothing need be kept; more than this many in use means an attack.
MAX_BUCKETS = 32_768
_IPV6_SITE_BITS = 64  # the least that one client gets


@dataclass(frozen=True, slots=True)
class ReceiveLimits:
    """What a connection may cost.

    Attributes:
        max_head_bytes: of request line and headers.
        max_headers: how many.
        timeout_s: for a head to come; for a body besides the time that `min_rate` gives it.
        min_rate: bytes of a body in a second, on average; time in which it is not read does not count.
        send_timeout_s: how long a client may take to read a piece of its answer.
        max_connections: of this process; when there are more, those that send nothing are closed.
    """

    max_head_bytes: int
    max_headers: int
    timeout_s: float
    min_rate: int
    send_timeout_s: float
    max_connections: int


class TokenBuckets:
    """Buckets of tokens, each refilled at a rate up to a burst; all are full at first.

    A bucket is one number, the time at which it will be full (the generic cell rate algorithm), on the monotonic
    clock. When there are too many, the one that was used longest ago is forgotten.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: int,
        *,
        max_buckets: int = MAX_BUCKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the parts.

        Args:
            rate_per_s: tokens that come back to a bucket in a second, > 0.
            burst: tokens in a full bucket, >= 1.
            max_buckets: how many are remembered.
            clock: seconds that never go back.
        """
        self._token_s = 1 / rate_per_s
        self._full_s = burst / rate_per_s
        self._max_buckets = max_buckets
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token from a bucket; return 0, or if there is none, the seconds until there will be one."""
        now = self._clock()
        buckets = self._full_at
        full_at = max(buckets.get(name, now), now) + self._token_s
        if (missing_s := full_at - now - self._full_s) > 1e-9:  # rounding is not a token
            buckets.move_to_end(name)  # or it would be forgotten, and be full again
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
    """Return what stands for a client in the name of a bucket: the address; of IPv6 the network, which is all its."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
