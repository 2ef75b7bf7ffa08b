from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import cores
from benchmarks.bench import Bench
from benchmarks.plan import Plan
from benchmarks.progress import Progress
from benchmarks.store import MODEL, VERSIONS, Store
from modelstore import ModelRepository
from tests import fakes

A_SECOND = Plan(
    name="test",
    rounds=2,
    seconds=0.25,
    warm_up_s=0.1,
    starts=1,
    swaps=4,
    batch_sizes=(1, 7),
    repeats=3,
    curve=(1, 100),
    large_rows=5000,
)


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two versions of a model that one can work out in the head, under the name that the benchmark asks for."""
    folder = tmp_path_factory.mktemp("store")
    repository = ModelRepository(folder)
    for version in VERSIONS:
        fakes.publish(repository, MODEL, shift=0.1 * version, features=("a", "b", "c", "d"), classes=("x", "y", "z"))
    repository.activate(MODEL, VERSIONS[0])
    return Store(folder)


@pytest.fixture(scope="package")
def bench(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    division = cores.divide(cores.available())
    with Progress() as progress:
        bench = Bench(A_SECOND, store, division, tmp_path_factory.mktemp("work"), progress)
        yield bench
        bench.close()
