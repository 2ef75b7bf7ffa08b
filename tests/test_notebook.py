"""The notebook of the docs runs against a real service, to explained predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.processes import PROJECT, service

NOTEBOOK = PROJECT / "docs" / "churn.ipynb"


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs(tmp_path: Path) -> None:
    text = NOTEBOOK.read_text().replace("budget_s=10", "budget_s=1")  # what is asserted does not depend on it
    with service(tmp_path, ready=False) as (http, _):
        notebook: Any = nbformat.reads(text.replace("http://localhost:8000", str(http.base_url)), as_version=4)  # type: ignore[no-untyped-call]
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()

    outputs = [str(cell["outputs"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert "status='succeeded'" in outputs[1]
    assert "probability_yes" in outputs[4]
    assert "contribution" in outputs[5]
    assert "column 'months'" in outputs[7]


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]

    nbformat.validate(notebook)
    assert [cell["outputs"] for cell in notebook["cells"] if cell.get("outputs")] == []
