"""Token buckets: exact counts on a test's clock, bounded memory, addresses of clients."""

from __future__ import annotations

import tracemalloc

import pytest

from app.security.rate_limit import TokenBuckets, site_of
from tests.app.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_burst_is_let_through_and_then_one_for_each_token_that_comes_back(clock: Clock) -> None:
    buckets = TokenBuckets(4, 3, clock=clock)

    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.25)
    clock.now += 0.25
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0


def test_wait_that_is_named_is_exactly_long_enough(clock: Clock) -> None:
    buckets = TokenBuckets(3, 1, clock=clock)
    buckets.take("a")
    wait_s = buckets.take("a")

    clock.now += wait_s * 0.99
    assert buckets.take("a") > 0
    clock.now += wait_s * 0.01
    assert buckets.take("a") == 0


def test_refused_requests_cost_no_tokens(clock: Clock) -> None:
    buckets = TokenBuckets(1, 1, clock=clock)
    buckets.take("a")
    for _ in range(1000):
        assert buckets.take("a") == pytest.approx(1)

    clock.now += 1
    assert buckets.take("a") == 0


def test_rest_fills_a_bucket_up_to_its_burst_and_no_further(clock: Clock) -> None:
    buckets = TokenBuckets(10, 5, clock=clock)
    clock.now += 86_400

    assert sum(buckets.take("a") == 0 for _ in range(100)) == 5


def test_ten_seconds_of_500_a_second_against_50_with_a_burst_of_100_let_600_through(clock: Clock) -> None:
    buckets = TokenBuckets(50, 100, clock=clock)
    accepted = 0
    for _ in range(5000):
        accepted += buckets.take("a") == 0
        clock.now += 1 / 500

    assert accepted == pytest.approx(100 + 50 * 10, abs=1)


def test_one_client_does_not_use_up_the_bucket_of_another(clock: Clock) -> None:
    buckets = TokenBuckets(1, 2, clock=clock)
    for _ in range(10):
        buckets.take("a")

    assert [buckets.take("b"), buckets.take("b")] == [0, 0]


def test_number_of_buckets_is_bounded_and_those_in_use_are_kept(clock: Clock) -> None:
    buckets = TokenBuckets(0.001, 1, max_buckets=100, clock=clock)
    buckets.take("busy")
    for number in range(1000):
        buckets.take(str(number))
        assert buckets.take("busy") > 0
    assert len(buckets) == 100


@pytest.mark.slow
def test_a_hundred_thousand_clients_take_less_than_16_mib() -> None:
    addresses = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(100_000)]
    tracemalloc.start()
    try:
        buckets = TokenBuckets(1, 1)
        for address in addresses:
            buckets.take(address)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 16 << 20


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::5", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_an_address_stands_for_a_client_and_an_ipv6_network_for_one(address: str, site: str) -> None:
    assert site_of(address) == site
