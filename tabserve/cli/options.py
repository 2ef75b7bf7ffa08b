"""Options that several commands of `tabserve` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODELS = Path("models")

Strict = Annotated[
    bool | None, typer.Option("--strict/--no-strict", help="Refuse rows that would be answered with a warning.")
]
Threshold = Annotated[float | None, typer.Option(help="Answer the second of two classes from here on.")]
IgnoreExtra = Annotated[bool, typer.Option("--ignore-extra", help="Ignore columns the model does not know.")]
ModelsDir = Annotated[Path, typer.Option(envvar="TABSERVE_MODELS_DIR", help="Folder of the models.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--signing-key-file", envvar="TABSERVE_SIGNING_KEY_FILE", help="Keys that must have signed it."),
]
