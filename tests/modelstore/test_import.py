"""The schema is light: what `import modelstore` brings with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
HEAVY = {"torch", "fastapi", "starlette", "numpy", "sklearn", "pandas", "matplotlib", "sqlalchemy", "app", "training"}


def test_import_brings_neither_torch_nor_numpy_nor_fastapi_nor_sklearn() -> None:
    code = "import sys, modelstore; print(*{name.partition('.')[0] for name in sys.modules})"
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    loaded = set(child.stdout.split())
    assert "modelstore" in loaded
    assert not loaded & HEAVY
