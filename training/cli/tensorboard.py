"""Write a training's scalars and hyper-parameters for TensorBoard.

TensorBoard is an optional extra; this module is imported only with `--tensorboard`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from modelstore import EpochMetrics
from training.cli.progress import Event
from training.config.recipe import Recipe


def recorder(folder: Path, recipe: Recipe) -> Callable[[Event], None]:
    """Return a function that writes each event of one training to a new run folder `<folder>/<model>-<time>`."""
    run_name = f"{recipe.model}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    writer = SummaryWriter(str(folder / run_name))

    def record(event: Event) -> None:
        """Write an epoch's figures, or the result and the settings."""
        if isinstance(event, EpochMetrics):
            for name, value in _scalars(event).items():
                writer.add_scalar(name, value, event.epoch)
        elif event.event == "result":
            test = event.metrics.get("test")
            figures = {f"test/{name.replace(' ', '_')}": value for name, value, _ in (test.headline if test else ())}
            writer.add_hparams(_hyper_parameters(recipe), figures, run_name=".")
            writer.close()

    return record


def _scalars(event: EpochMetrics) -> dict[str, float]:
    scalars = {
        "loss/train": event.train_loss,
        "loss/validation": event.validation_loss,
        "test/accuracy_while_training": event.test_accuracy,
        "test/rmse_while_training": event.test_rmse,
        "learning_rate": event.learning_rate,
        "gradient_norm": event.gradient_norm,
    }
    return {name: value for name, value in scalars.items() if value is not None}


def _hyper_parameters(recipe: Recipe) -> dict[str, str | float]:
    settings = recipe.training.model_dump()
    return {name: value if isinstance(value, (int, float, str)) else str(value) for name, value in settings.items()}
