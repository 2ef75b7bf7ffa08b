"""Settings for services that tests create."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.settings import Settings


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Return the settings of a service that keeps everything in a folder."""
    return Settings(
        models_dir=folder / "models",
        state_dir=folder / "state",
        datasets_dir=folder / "datasets",
        device="cpu",
        train_niceness=0,  # else trainings wait for the tests beside them
        **changes,
    )
