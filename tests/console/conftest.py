"""A real browser, and a service with a trained model for it.

A page that does what no page may do fails its test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from modelstore import ModelRepository
from modelstore.names import MANIFEST_FILE, MODEL_FILE, ONNX_FILE
from tests.processes import service
from tests.trainings import trained

ROWS = [(20 + 37 * row % 61, 500 * (row % 7), "blue" if row % 3 else "red") for row in range(120)]
CSV = "age,income,colour,churned\n" + "".join(f"{a},{i},{c},{'yes' if a > 50 else 'no'}\n" for a, i, c in ROWS)
DEADLINE_MS = 120_000
QUICK = {"learner": "mlp", "epochs": 20, "hidden": [4]}


@dataclass
class Watched:
    """A page, and what it did that no page may do.

    Attributes:
        faults: errors in its console, which are also what a policy refused, uncaught exceptions and dialogs.
        strange: requests to other origins.
    """

    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(DEADLINE_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", self._see)

    def open(self, address: str = "") -> Page:
        """Load the console anew at this address, and return the page."""
        self.page.goto("about:blank")
        self.page.goto(self.origin + "/" + address)
        self.page.locator("main h1").wait_for()
        return self.page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "about:", "blob:", "data:")):
            self.strange.append(request.url)


@dataclass(frozen=True)
class Console:
    """A running service, the name of its model, and the id of the training that made it."""

    client: httpx.Client
    model: str
    job: str

    @property
    def origin(self) -> str:
        return str(self.client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium; scripts/packages installs it")
    expect.set_options(timeout=DEADLINE_MS)  # it waits for 5 s otherwise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Return a service with `price`, a quantity, and `churn` in two versions, of which the first is active."""
    folder = tmp_path_factory.mktemp("console")
    with service(folder, ready=False) as (client, _):
        job = train(client, folder, CSV, "churned")
        header, *rows = CSV.splitlines()
        prices = "".join(f"{row},{3 * int(row.split(',')[0]) + at % 17}\n" for at, row in enumerate(rows))
        client.put("/datasets/price", content=f"{header},price\n{prices}".encode()).raise_for_status()
        asked = {"model": "price", "dataset": "price", "target": "price", "overrides": {"learner": "linear"}}
        priced = trained(client, asked)
        assert priced["status"] == "succeeded", priced
        yield Console(client, "churn", job)


def train(client: httpx.Client, folder: Path, table: str, target: str) -> str:
    """Train `churn` on a table and publish it again, as if with another seed; return the id of the training."""
    client.put("/datasets/churn", content=table.encode()).raise_for_status()
    body = {"model": "churn", "dataset": "churn", "target": target, "activate": "always", "seed": 0}
    job = trained(client, body | {"overrides": QUICK})
    assert job["status"] == "succeeded", job
    repository = ModelRepository(folder / "models")
    first = repository.find("churn", 1)
    manifest = first.manifest()
    lineage = manifest.lineage.model_copy(update={"seed": 1})
    files = {path.name: path.read_bytes() for path in first.path.iterdir() if path.name != MANIFEST_FILE}
    model, onnx = files.pop(MODEL_FILE), files.pop(ONNX_FILE, None)
    repository.publish(manifest.model_copy(update={"lineage": lineage}), model, files, onnx=onnx)
    return str(job["id"])


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(DEADLINE_MS)
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext, console: Console) -> Iterator[Watched]:
    """Return a page of the console, whose test fails if it had a fault or asked another origin."""
    watched = Watched(context.new_page(), console.origin)
    yield watched
    assert (watched.faults, watched.strange) == ([], [])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "Kunden 2026.csv"
    file.write_text(CSV)
    return file
