"""What concerns the run as a whole; the fixtures are in `tests/fixtures.py`."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from tests.promises import Measured, Promises

PROMISES = pytest.StashKey[Promises]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--measured-file", type=Path, help="JSON file to add what the tests measured to")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as trainings of the service; tests beside each other fill the cores
    config.stash[PROMISES] = Promises(config.getoption("--measured-file"))
    config.pluginmanager.register(config.stash[PROMISES])
    if not config.getoption(
        "numprocesses", None
    ):  # the process that hands out the tests would import torch for nothing
        config.pluginmanager.import_plugin("tests.fixtures")
    gc.disable()  # imports and items of tests stay anyhow; looking through them again and again takes seconds


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> Measured:
    """Return a function that records a figure of a promise: measured("F-13", "20 stops: 0 resets")."""
    return pytestconfig.stash[PROMISES].measured
