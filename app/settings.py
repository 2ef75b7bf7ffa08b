"""The settings of the service, from TABSERVE_ variables and flags; it must not open, load or start anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_PROJECT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Serve the models of a store. Each setting is a flag or a TABSERVE_ variable (TABSERVE_PORT); the flag wins."""

    model_config = SettingsConfigDict(
        env_prefix="TABSERVE_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="scripts/serve",
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 listens on all."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port; 0 lets the system choose one, which is printed."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that serve; each has its own copy of the models."""
    models_dir: Path = Path("models")
    """Folder of the model store; shared by everything that trains or serves."""
    data_dir: Path = Path("data")
    """Folder with the data files that recipes name."""
    recipes_dir: Path = _PROJECT / "training" / "recipes"
    """Folder with the training recipes, a TOML file each."""
    state_dir: Path = Path("state")
    """Folder of the job table, made if absent."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")] = "auto"
    """Where models run: auto (cuda, else mps, else cpu), cpu, cuda, cuda:N or mps."""
    poll_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Seconds between two looks at the store for a new active version."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 32)] = 8 << 20
    """Largest request body in bytes."""
    max_stream_bytes: Annotated[int, Field(ge=1024)] = 1 << 40
    """Largest body in bytes of CSV, NDJSON, Arrow and float32, which are answered while they arrive."""
    max_answer_bytes_waiting: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """How many bytes of an answer may wait for a client that sends all its rows before it reads."""
    max_loaded_versions: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many versions that served lately, or were asked for by number, stay loaded."""
    max_queue_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 65_536
    """How many rows of small requests may wait for a model; more are answered 429."""
    max_batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How long a small request may wait for company; 0 does not wait, more helps only heavy models on a GPU."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""
    metrics_dir: Path | None = None
    """Folder where several workers leave their figures for each other; set by the launcher."""
    train_missing: bool = False
    """Train every recipe whose model has no version yet before serving."""
