from __future__ import annotations

import pytest

from benchmarks.cores import divide


@pytest.mark.parametrize(
    ("available", "server", "client", "workers"),
    [
        ({5}, {5}, {5}, {5}),
        ({0, 1}, {0}, {1}, {0, 1}),
        ({2, 3, 7}, {2}, {7}, {2, 3}),
        (set(range(16)), {0}, {15}, {0, 1}),
    ],
)
def test_the_machine_is_divided(available: set[int], server: set[int], client: set[int], workers: set[int]) -> None:
    cores = divide(frozenset(available))
    assert [set(cores.server), set(cores.client), set(cores.workers)] == [server, client, workers]
    assert cores.shared == (len(available) == 1)
