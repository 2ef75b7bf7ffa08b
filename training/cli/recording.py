"""Record the events of a training for TensorBoard, if that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelstore import Notice
from training.cli.progress import Event, Reporter
from training.config.recipe import Recipe
from training.errors import MissingExtra
from training.lazy import load_module
from training.outcome import sentence


class _UntilFailure:
    """Records events for TensorBoard until the first failure, which is only a warning: the training goes on."""

    def __init__(self, record: Callable[[Event], None], view: Reporter) -> None:
        self._record: Callable[[Event], None] | None = record
        self._view = view

    def __call__(self, event: Event) -> None:
        if self._record is None:
            return
        try:
            self._record(event)
        except Exception as error:
            self._record = None
            message = f"TensorBoard's files could not be written and end here: {sentence(error)}"
            self._view.show(Notice(level="warning", message=message))


def recorder_for(folder: Path | None, recipe: Recipe, view: Reporter) -> Callable[[Event], None]:
    """Return a function that writes TensorBoard files, or one that does nothing if they are not requested."""
    if folder is None:
        return lambda event: None
    try:
        module = load_module("cli.tensorboard")
    except ModuleNotFoundError as error:
        raise MissingExtra("--tensorboard", "tensorboard") from error
    return _UntilFailure(module.recorder(folder, recipe), view)
