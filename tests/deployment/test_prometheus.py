"""Prometheus as committed, with a key: it scrapes, evaluates alerts and fills every panel."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from modelstore import ModelRepository
from modelstore.signing import SigningKey
from tests.app.runners import write_training
from tests.app.waiting import until
from tests.deployed import environment_of, eventually, make_secrets, running
from tests.deployment.test_dashboards import DASHBOARD, PANELS, PROMETHEUS, RULES, needs_prometheus, promtool
from tests.fakes import publish
from tests.processes import free_port, service

pytestmark = [pytest.mark.slow, needs_prometheus]

ROWS = {"instances": [[0.25, 0.25]]}
MANY_ROWS = {"instances": [[0.25, 0.25]] * 50}  # drift is reported from 1,000 rows on
PANELS_DEADLINE_S = 300.0
STAGES = {"parse", "queue", "compute", "encode"}


@dataclass
class Scraped:
    """Prometheus, and the service that it looks at.

    Attributes:
        folder: where store and secrets lie.
        prometheus: a client of its API.
        operator: a client of the service that may do everything.
    """

    folder: Path
    prometheus: httpx.Client
    operator: httpx.Client

    def results(self, expression: str) -> list[dict[str, Any]]:
        """Return the present values of a panel's query, without those that are not numbers."""
        filled = expression.replace("$__rate_interval", "30s").replace("$model", ".*")
        answer = self.prometheus.get("/query", params={"query": filled}).json()
        assert answer["status"] == "success", answer
        return [found for found in answer["data"]["result"] if not math.isnan(float(found["value"][1]))]

    def ask(self) -> None:
        """Send typical requests: valid and invalid ones, and a training that fails."""
        for _ in range(20):
            assert self.operator.post("/predict/means", json=MANY_ROWS).status_code == 200
        inputs = [{"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.25]}]
        self.operator.post("/v2/models/means/infer", json={"inputs": inputs})
        self.operator.post("/predict/means", content=b"left,right\n0.25,0.25\n", headers={"content-type": "text/csv"})
        assert self.operator.post("/predict/nobody", json=ROWS).status_code == 404
        training = self.operator.post("/train", json={"model": "iris"}, headers={"prefer": "wait=60"})
        assert training.json()["reason"] == "bad_data", training.text


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """Run Prometheus with the committed files; the names of compose stand for one service here."""
    folder = tmp_path_factory.mktemp("prometheus")
    secrets, port = folder / "secrets", free_port()
    make_secrets(secrets)
    (folder / "audit").mkdir()
    publish(ModelRepository(folder / "models", SigningKey.read(secrets / "service" / "signing_key")))
    write_training(folder / "cwd", 'end("bad_data", "there is none")')
    environment = environment_of("bare", folder) | {"TABSERVE_ANONYMOUS": "predict"}
    with service(folder, environment=environment, cwd=folder / "cwd") as (operator, _):
        operator.headers["authorization"] = f"Bearer {make_secrets(secrets, 'show').strip()}"
        configure(folder, f"127.0.0.1:{operator.base_url.port}")
        options = {
            "config.file": folder / "etc" / "prometheus.yml",
            "storage.tsdb.path": folder / "tsdb",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
        with (
            running(command, folder / "prometheus.log", port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=300) as prometheus,
        ):
            yield Scraped(folder, prometheus, operator)


def configure(folder: Path, target: str) -> None:
    """Copy the committed configuration, and put addresses and places of this machine into it."""
    shutil.copytree(PROMETHEUS, folder / "etc")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        if job.pop("dns_sd_configs", None):
            job["static_configs"] = [{"targets": [target]}]
        if authorization := job.get("authorization"):
            assert authorization["credentials_file"] == "/run/secrets/metrics_key"
            authorization["credentials_file"] = str(folder / "secrets" / "prometheus" / "metrics_key")
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "200ms"}
    (folder / "etc" / "prometheus.yml").write_text(yaml.safe_dump(config))


def test_prometheus_scrapes_every_job_of_the_committed_configuration_with_its_key(scraped: Scraped) -> None:
    eventually(scraped.prometheus, "/query", '"1"', query='sum(up{job="tabserve"})')
    eventually(scraped.prometheus, "/query", '"1"', query='sum(up{job="trainer"})')

    def all_well() -> bool:
        """Return whether no target of ours failed at its latest scrape; a busy machine may fail one."""
        targets = scraped.prometheus.get("/targets").json()["data"]["activeTargets"]
        assert {target["labels"]["job"] for target in targets} == {"tabserve", "trainer", "prometheus"}
        return not [each for each in targets if each["lastError"] and each["labels"]["job"] != "prometheus"]

    until(all_well, "no scrape fails")
    without_key = httpx.get(scraped.operator.base_url.join("/metrics"), timeout=300)

    assert without_key.status_code == 401


def test_prometheus_knows_the_alerts_and_can_evaluate_them(scraped: Scraped) -> None:
    until(lambda: {rule["health"] for rule in of_prometheus(scraped)} == {"ok"}, "all are evaluated")

    assert [rule["name"] for rule in of_prometheus(scraped)] == [rule["alert"] for rule in RULES]


def of_prometheus(scraped: Scraped) -> list[dict[str, Any]]:
    """Return the rules as Prometheus holds them."""
    (group,) = scraped.prometheus.get("/rules").json()["data"]["groups"]
    return list(group["rules"])


def test_every_panel_of_the_dashboard_shows_something(scraped: Scraped) -> None:
    publish(
        ModelRepository(scraped.folder / "models"), shift=0.5
    )  # not signed: it is active but refused, and version 1 keeps serving
    queries = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
    # No model here is a regression, gets unusual values, has a file that fails, scores for sets, labels or a shadow.
    silent = ("Unusual values", "Predicted values", "Unused files", "Coverage", "Live", "Receipts")
    queries = {name: query for name, query in queries.items() if not name.startswith(silent) and "shadow" not in name}
    deadline = time.monotonic() + PANELS_DEADLINE_S
    while empty := [name for name, query in queries.items() if not scraped.results(query)]:
        assert time.monotonic() < deadline, empty
        scraped.ask()

    (by_stage,) = [panel for panel in PANELS if panel["title"] == "Time by stage, mean"]
    assert {found["metric"]["stage"] for found in scraped.results(by_stage["targets"][0]["expr"])} == STAGES
    (variable,) = DASHBOARD["templating"]["list"]
    assert variable["query"]["query"] == "label_values(tabserve_model_info, model)"
    models = scraped.prometheus.get("/label/model/values", params={"match[]": "tabserve_model_info"}).json()["data"]
    assert models == ["means"]


def test_promtool_finds_nothing_wrong_with_the_metrics(scraped: Scraped) -> None:
    assert promtool("check", "metrics", data=scraped.operator.get("/metrics").content) == ""
