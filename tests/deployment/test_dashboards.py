"""Alerts and dashboard as committed: valid, described, and true to the metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.telemetry.metric_families import FAMILIES
from tests.deployed import COMPOSE
from tests.processes import PROJECT

PROMETHEUS = PROJECT / "deploy" / "prometheus"
GRAFANA = PROJECT / "deploy" / "grafana"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "tabserve.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text()
SCHEMA_VERSION = 39  # accepted by Grafana 11 and later without migration
UNITS = {"short", "s", "bytes", "percentunit", "reqps", "rowsps"}  # names that Grafana has
OF_PROMETHEUS = {"job", "instance", "le"}  # labels that it adds, or that histograms have

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed; scripts/packages does it",
)


def promtool(*arguments: str | Path, data: bytes | None = None) -> str:
    """Run promtool, which must find nothing wrong, and return what it says."""
    done = subprocess.run(["promtool", *arguments], input=data, capture_output=True, timeout=300, check=False)
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


def family_of(metric: str) -> str:
    """Return the name of the family that a metric belongs to."""
    return metric if metric in FAMILIES else re.sub(r"_(bucket|sum|count)$", "", metric)


def labels_of(expression: str) -> set[str]:
    """Return the labels that a query chooses or groups by."""
    groups = re.findall(r"\b(?:by|on|group_left|group_right) \(([^)]*)\)", expression)
    chosen = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
    return {label.strip() for group in groups for label in group.split(",")} | set(chosen)


@pytest.mark.slow
@needs_prometheus
def test_promtool_finds_nothing_wrong_with_configuration_and_rules() -> None:
    said = promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")  # the key is in the container
    rules = promtool("check", "rules", PROMETHEUS / "alerts.yml")

    assert "SUCCESS" in said
    assert f"{len(RULES)} rules found" in rules


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
def test_query_reads_metrics_that_the_service_has_by_labels_that_they_have(expression: str) -> None:
    families = {family_of(name) for name in metrics_of(expression) if not name.startswith("process_")}

    assert families <= FAMILIES.keys()
    known = {label for name in families for label in FAMILIES[name].labels} | OF_PROMETHEUS
    assert not families or labels_of(expression) <= known


def test_the_metrics_that_matter_are_on_the_dashboard() -> None:
    """Requests, errors, latency by stage, batch size, versions, jobs."""
    shown = {family_of(name) for expression in expressions().values() for name in metrics_of(expression)}
    scores = {name for name, family in FAMILIES.items() if "split" in family.labels}

    assert FAMILIES.keys() - shown - scores == {
        "tabserve_inference_batches_total",  # the histogram of batch sizes counts them
        "tabserve_queue_limit_rows",  # a setting
    }


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    assert DASHBOARD["schemaVersion"] == SCHEMA_VERSION
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("tabserve", "Tabserve")
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABC"[: len(panel["targets"])])


def test_every_line_of_a_panel_has_a_name_made_of_labels_that_it_has() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = set(re.findall(r"\w+", ",".join(re.findall(r"by \(([^)]*)\)", target["expr"])))) - {"le"}
            assert grouped <= named or panel["type"] != "timeseries", panel["title"]
            assert named <= (grouped or {"job", "instance"}), panel["title"]
            assert target["legendFormat"] or panel["type"] != "timeseries", panel["title"]


def test_every_panel_asks_the_provisioned_prometheus() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    asked = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    asked |= {panel["datasource"]["uid"] for panel in PANELS}
    asked |= {variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]}

    assert asked == {source["uid"] for source in sources}
    assert sources[0]["url"] == "http://prometheus:9090"


def test_dashboard_is_where_grafana_looks_and_its_panels_do_not_overlap() -> None:
    compose = COMPOSE["services"]["grafana"]
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
