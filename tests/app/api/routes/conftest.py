"""Fixtures of the tests of routes, besides those of the whole service."""

from __future__ import annotations

import pytest

from tests.preloaded import forked_trainings


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the app's trainings and checks of data forked, where the test is not about their process."""
    monkeypatch.chdir(forked_trainings())
