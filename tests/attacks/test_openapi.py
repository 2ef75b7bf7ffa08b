"""The whole API, tried by schemathesis from its own document: no undocumented answer.

All phases, with checks for server errors, statuses, content types, headers, bodies, refusal of bad and acceptance of
good data, methods, keys, and what becomes of what is deleted. The long form (TABSERVE_FAULTS=long) asks 50,000 times.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.attacks.conftest import FEATURES
from tests.fakes import publish
from tests.faults.scenes import rounds
from tests.processes import PROJECT, service
from tests.promises import LONG, Measured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if LONG else 600)]

# Very short trainings, so that hundreds can be requested, cancelled and repeated.
TRAINING = """
import hashlib, json, pathlib, sys, time
def say(**line): print(json.dumps(line), flush=True)
arguments = sys.argv[1:]
if arguments == ["wait"]:
    arguments = json.loads(sys.stdin.readline() or sys.exit())
if arguments[0] == "inspect":
    data = pathlib.Path(arguments[1]).read_bytes()
    column = {"type": "numeric", "distinct": 2, "minimum": 0.0, "maximum": 1.0, "classes": {"0": 1, "1": 1}}
    if b"," in data:
        columns = [{"name": name, **column} for name in ("age", "churned")]
        sha256 = hashlib.sha256(data).hexdigest()
        say(summary={"rows": 2, "size_bytes": len(data), "sha256": sha256, "columns": columns})
    else:
        say(faults=[{"line": 1, "column": None, "problem": "has no comma"}])
else:
    figures = {"train_loss": 0.5, "learning_rate": 0.1, "gradient_norm": 1.0, "elapsed_s": 0.1, "remaining_s": 0.1}
    say(event="epoch", epoch=1, epochs=1, **figures)
    time.sleep(0.2)
    say(event="result", reason="failed", detail="nothing is learnt here", model=arguments[1])
"""


class Played:
    """A service with several versions of two models, its document in a file, and a key for everything."""

    def __init__(self, folder: Path, client: httpx.Client, key: str) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {key}"}
        self._folder = folder
        self._document = folder / "openapi.json"
        self._document.write_bytes(client.get("/openapi.json", headers=self.headers).content)

    def ask(self, *arguments: str) -> int:
        """Run schemathesis; return its number of requests."""
        program, configuration = Path(sys.executable).with_name("st"), Path(__file__).with_name("openapi.toml")
        command = [str(program), "--config-file", str(configuration), "--no-color", "run", str(self._document)]
        asked = subprocess.run(
            [*command, "--url", str(self.client.base_url), *arguments],
            cwd=self._folder,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.attacks.openapi_hooks", "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 0, asked.stdout + asked.stderr
        found = re.search(r"([\d,]+) generated, \1 passed", asked.stdout)
        assert found, asked.stdout
        left = {model["name"] for model in self.client.get("/models", headers=self.headers).json()["models"]}
        assert {"means", "iris"} <= left, "the requests removed what the next ones need"
        return int(found[1].replace(",", ""))

    def answers(self) -> dict[int, int]:
        """Return the service's own count of responses by status."""
        counted: dict[int, int] = {}
        for family in text_string_to_metric_families(self.client.get("/metrics", headers=self.headers).text):
            for sample in family.samples:
                if sample.name == "tabserve_http_requests_total":
                    status = int(sample.labels["code"])
                    counted[status] = counted.get(status, 0) + int(sample.value)
        return counted


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    repository = ModelRepository(tmp_path / "models")
    for version in range(6):
        publish(repository, shift=version / 10, takes_missing=False)
        publish(repository, "iris", features=FEATURES, classes=("setosa", "virginica"), takes_missing=False)
    for name in ("old", "older"):
        publish(repository, name, takes_missing=False)
    training = tmp_path / "cwd" / "training"
    training.mkdir(parents=True)
    (training / "__init__.py").touch()
    (training / "__main__.py").write_text(TRAINING)
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.create(frozenset(Scope), None, "everything")
    environment = {"TABSERVE_KEYS_FILE": str(keys.path)}
    with service(tmp_path, cwd=training.parent, environment=environment) as (client, _):
        yield Played(tmp_path, client, key)


def test_nothing_is_answered_that_is_not_documented(played: Played, measured: Measured) -> None:
    """S-27."""
    short = ("--generation-deterministic", "--max-examples")
    long = ("--max-examples", "1200")
    header = f"Authorization: {played.headers['authorization']}"
    with_key = played.ask("--header", header, *(long if LONG else (*short, "3")))
    strangers = ("--phases", "examples,fuzzing", "--exclude-checks", "unsupported_method")  # they learn of no methods
    without = played.ask(*short, "5", *strangers)

    answers = played.answers()
    assert [status for status in answers if status >= 500] == []
    assert played.client.get("/readyz").status_code == 200
    assert with_key + without >= rounds(2_000, 50_000)
    assert sum(answers.values()) >= with_key + without
    measured("S-27", f"{with_key + without:,} requests of schemathesis: 0 5xx, 0 undocumented answers")
