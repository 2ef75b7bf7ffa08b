"""Take the pictures of the console for the docs, from a real training on data/churn.csv."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.processes import PROJECT, service
from tests.trainings import trained

SIZE = {"width": 1100, "height": 760}
QUICK = {"learner": "mlp", "epochs": 40, "hidden": [32]}


def main(folder: Path) -> None:
    """Write `home.png`, `data.png`, `train.png` and `try.png` into a folder."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, service(Path(place), ready=False) as (client, _):
        origin = str(client.base_url).rstrip("/")
        client.put("/datasets/churn", content=(PROJECT / "data" / "churn.csv").read_bytes()).raise_for_status()
        body = {"model": "churn", "dataset": "churn", "target": "churned", "overrides": QUICK}
        job = trained(client, body)
        pages = {
            "home": ("", "#model-churn"),
            "data": ("#/data/churn", "#target"),
            "train": (f"#/training/{job['id']}", "figure"),
            "try": ("#/try/churn?confidence=0.9", ".answers figure >> nth=1"),
        }
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            for name, (address, sign) in pages.items():
                page.goto("about:blank")
                page.goto(f"{origin}/{address}")
                expect(page.locator(sign).first).to_be_visible(timeout=120_000)
                page.screenshot(path=folder / f"{name}.png")
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
