"""Trainings, and commands that train or measure, compute with one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from modelstore import ModelRepository, UnknownModel
from tests.training.cli.consoles import new_console
from tests.training.samples import recipe, run
from training.cli.measure import Origin, report_comparison, report_reproduction, report_version
from training.config.run import DataPlaces
from training.errors import DatasetError
from training.threads import use_one_thread


def counts() -> set[int]:
    """Return how many threads torch and the BLAS libraries would use here."""
    return {torch.get_num_threads(), *(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")}


def with_two(compute: Callable[[], object]) -> set[int]:
    """Return how many threads are used after a call in a process that used two."""
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        assert counts() == {2}
        compute()
        return counts()


def test_torch_and_blas_have_one_thread_from_then_on() -> None:
    assert with_two(use_one_thread) == {1}


def test_a_training_has_one_thread(tmp_path: Path) -> None:
    assert with_two(lambda: run(recipe(), tmp_path)) == {1}


@pytest.mark.parametrize("report", [report_version, report_reproduction])
def test_a_report_of_a_version_has_one_thread(report: Callable[..., object], tmp_path: Path) -> None:
    def compute() -> None:
        with pytest.raises(UnknownModel):
            report(new_console(), ModelRepository(tmp_path), DataPlaces(tmp_path, tmp_path), "clouds", 1)

    assert with_two(compute) == {1}


def test_a_cross_validation_has_one_thread(tmp_path: Path) -> None:
    def compute() -> None:
        with pytest.raises(DatasetError):
            report_comparison(new_console(), Origin(recipe(), tmp_path), 0)

    assert with_two(compute) == {1}
