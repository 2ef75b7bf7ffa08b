"""What concerns the run as a whole; the fixtures are in `tests/fixtures.py`."""

from __future__ import annotations

import contextlib
import gc
import importlib
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


def pytest_collection(session: pytest.Session) -> None:
    """Import another part of the tests first in each process: the first to import a file compiles it for all."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # gw0, gw1, ...
        number, count = int(worker[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        files = [file for folder in session.config.args for file in sorted(Path(folder).resolve().rglob("test_*.py"))]
        for file in files[len(files) * number // count : len(files) * (number + 1) // count]:
            with contextlib.suppress(Exception, pytest.skip.Exception):  # which collecting it reports
                importlib.import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> Measured:
    """Return a function that records a figure of a promise: measured("F-13", "20 stops: 0 resets")."""
    return pytestconfig.stash[PROMISES].measured
