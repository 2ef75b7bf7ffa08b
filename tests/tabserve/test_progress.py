"""A training's progress in one line, on a terminal only."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tabserve.progress import following, sentence

JOB: dict[str, Any] = {
    "model": "churn",
    "status": "running",
    "queue_position": None,
    "progress": {"event": "epoch", "epoch": 3, "epochs": 10, "train_loss": 0.51236},
    "finished": None,
    "version": None,
    "activated": False,
    "gate": None,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "churn: epoch 3 of 10, loss 0.5124"),
        ({"progress": None}, "churn: begins"),
        ({"progress": {"message": "linear: fitting"}}, "linear: fitting"),
        ({"status": "queued", "queue_position": 2}, "churn: waits, position 2 of the queue"),
        ({"status": "succeeded", "version": 4, "activated": True}, "churn: version 4 is active"),
        ({"status": "succeeded", "version": 4}, "churn: version 4 is published, not active"),
        (
            {"status": "succeeded", "version": 4, "gate": {"passed": False, "shadow": True}},
            "churn: version 4 is the shadow of the active one",
        ),
        ({"status": "cancelled"}, "churn: cancelled"),
        ({"status": "queued", "search_of": "f00"}, "churn: search job of training f00, queued"),
        ({"status": "succeeded", "search_of": "f00"}, "churn: search job of training f00, succeeded"),
    ],
)
def test_a_line_says_how_it_stands(changes: dict[str, Any], said: str) -> None:
    assert sentence(JOB | changes) == said


def test_the_bar_is_for_terminals() -> None:
    ended = JOB | {"status": "succeeded", "version": 4, "activated": True, "finished": "2026-11-27"}
    for is_terminal, lines in ((True, True), (False, False)):
        written = io.StringIO()
        with following(JOB, shown=True, console=Console(file=written, force_terminal=is_terminal, width=80)) as show:
            show(ended)
        assert ("churn: version 4 is active" in written.getvalue()) is lines
