"""Prometheus, its alerts and Grafana's dashboard as committed: valid, true to the service's metrics, and scraping."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from modelstore import ModelRepository
from tests.deployed import eventually, running
from tests.fakes import publish
from tests.processes import PROJECT, free_port, service

PROMETHEUS = PROJECT / "deploy" / "prometheus"
GRAFANA = PROJECT / "deploy" / "grafana"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "tabserve.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text()
# Names that are agreed on and still to come: shared/design/conventions.md, section 3.
TO_COME = {"tabserve_inference_stage_duration_seconds", "tabserve_batch_rows", "tabserve_queue_rows"}
ROWS = {"instances": [[0.25, 0.25]]}

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed; scripts/packages does it",
)


def promtool(*arguments: str | Path, data: bytes | None = None) -> str:
    """Run promtool, which must find nothing wrong, and return what it says."""
    done = subprocess.run(["promtool", *arguments], input=data, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def expressions() -> dict[str, str]:
    """Return every query of alerts and dashboard by a name for it."""
    alerts = {f"alert {rule['alert']}": str(rule["expr"]) for rule in RULES}
    panels = {f"panel {p['title']} {t['refId']}": str(t["expr"]) for p in PANELS for t in p["targets"]}
    return alerts | panels


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics that a query reads, as /metrics shows them."""
    return set(re.findall(r"\b(?:tabserve|process)_[a-z0-9_]+", expression))


def documented() -> set[str]:
    """Return the names in the table of metrics in docs/operations.md, short forms spelled out."""
    table = OPERATIONS.partition("\n| metric |")[2].partition("\n\n")[0]
    names = set()
    for row in table.splitlines():
        first, *others = re.findall(r"`(\w+)`", row.partition(" | ")[0]) or [""]
        stem = first.rpartition("_")[0]
        names |= {first, *(stem + other if other.startswith("_") else other for other in others)}
    return names


@needs_prometheus
def test_promtool_finds_nothing_wrong_with_configuration_and_rules() -> None:
    said = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert "1 rule files found" in said
    assert f"{len(RULES)} rules found" in said


@needs_prometheus
@pytest.mark.slow
def test_alerts_come_when_they_should_and_only_then() -> None:
    promtool("test", "rules", PROMETHEUS / "alerts_test.yml")

    tested = set(re.findall(r"alertname: (\w+)", (PROMETHEUS / "alerts_test.yml").read_text()))
    assert tested == {rule["alert"] for rule in RULES}


def test_every_alert_is_described_and_says_what_is_wrong() -> None:
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in OPERATIONS, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "warn"}
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("expression", expressions().values(), ids=expressions())
def test_query_reads_metrics_that_the_service_has(expression: str) -> None:
    known = documented() | TO_COME
    read = {name for name in metrics_of(expression) if not name.startswith("process_")}

    assert {name for name in read if not {name, re.sub(r"_(bucket|sum|count)$", "", name)} & known} == set()


def test_every_panel_asks_the_provisioned_prometheus() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    asked = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    asked |= {panel["datasource"]["uid"] for panel in PANELS}
    asked |= {variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]}

    assert asked == {source["uid"] for source in sources}
    assert sources[0]["url"] == "http://prometheus:9090"


def test_dashboard_is_where_grafana_looks_and_its_panels_do_not_overlap() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]["grafana"]
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "tabserve.yml").read_text())["providers"][0]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in compose["volumes"]

    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Run Prometheus with the committed files; the names of compose stand for one service here."""
    folder = tmp_path_factory.mktemp("prometheus")
    publish(ModelRepository(folder / "models"))
    shutil.copytree(PROMETHEUS, folder / "etc")
    port = free_port()
    with service(folder) as (upstream, _):
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        targets = [{"targets": [f"127.0.0.1:{upstream.base_url.port}"]}]
        for job in config["scrape_configs"]:
            if job.pop("dns_sd_configs", None):
                job["static_configs"] = targets
        config["global"] |= {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"}
        (folder / "etc" / "prometheus.yml").write_text(yaml.safe_dump(config))
        options = {
            "config.file": folder / "etc" / "prometheus.yml",
            "storage.tsdb.path": folder / "tsdb",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
        with (
            running(command, folder / "prometheus.log", port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as prometheus,
        ):
            for _ in range(20):
                assert upstream.post("/predict/means", json=ROWS).status_code == 200
            yield prometheus, upstream


@needs_prometheus
@pytest.mark.slow
def test_prometheus_scrapes_every_job_of_the_committed_configuration(
    scraped: tuple[httpx.Client, httpx.Client],
) -> None:
    prometheus, _ = scraped
    eventually(prometheus, "/query", '"1"', query='sum(up{job="tabserve"})')
    eventually(prometheus, "/query", '"1"', query='sum(up{job="trainer"})')
    targets = prometheus.get("/targets").json()["data"]["activeTargets"]

    assert {target["labels"]["job"] for target in targets} == {"tabserve", "trainer", "prometheus"}
    assert [target for target in targets if target["lastError"] and target["labels"]["job"] != "prometheus"] == []


@needs_prometheus
@pytest.mark.slow
def test_prometheus_knows_the_alerts_and_evaluates_them(scraped: tuple[httpx.Client, httpx.Client]) -> None:
    prometheus, _ = scraped
    eventually(prometheus, "/rules", '"health":"ok"')
    (group,) = prometheus.get("/rules").json()["data"]["groups"]

    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in RULES]
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}


@needs_prometheus
@pytest.mark.slow
@pytest.mark.parametrize("expression", expressions().values(), ids=expressions())
def test_prometheus_can_answer_the_query(scraped: tuple[httpx.Client, httpx.Client], expression: str) -> None:
    prometheus, _ = scraped
    filled = expression.replace("$__rate_interval", "1m").replace("$model", ".*")
    answer = prometheus.get("/query", params={"query": filled}).json()

    assert answer["status"] == "success", answer


@needs_prometheus
@pytest.mark.slow
def test_the_dashboard_shows_what_the_service_did(scraped: tuple[httpx.Client, httpx.Client]) -> None:
    prometheus, _ = scraped
    rows = 'sum(tabserve_inference_rows_total{job="tabserve", model="means"})'
    serves = 'count(tabserve_model_info{job="tabserve", model="means", version="1"})'

    eventually(prometheus, "/query", '"20"', query=rows)
    eventually(prometheus, "/query", '"1"', query=serves)


@needs_prometheus
@pytest.mark.slow
def test_promtool_finds_nothing_wrong_with_the_metrics(scraped: tuple[httpx.Client, httpx.Client]) -> None:
    _, upstream = scraped

    assert promtool("check", "metrics", data=upstream.get("/metrics").content) == ""
