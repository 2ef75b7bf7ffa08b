"""The files for Kubernetes against its schemas and our own policy, which is compose's.

`build` reads as much of kustomize as the files use; where kubectl is installed, it is held to it. Schemas of custom
resources are not at hand: what is inside a ServiceMonitor is compared with the services, KServe's files with the models
of its Python package (tests/scenarios/test_clients.py).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from starlette.testclient import TestClient

from app.main import create_app
from app.security.keys import KeyFile, Scope
from app.server.run import SHUTDOWN_GRACE_S
from app.settings import Settings
from app.telemetry.metric_families import FAMILIES
from tests.deployed import COMPOSE
from tests.processes import PROJECT

FOLDER = PROJECT / "deploy" / "kubernetes"
RELEASES = [f"1.{minor}" for minor in range(31, 38)]
MERGED_BY = {"containers": "name", "env": "name", "ports": "name", "volumes": "name", "volumeMounts": "mountPath"}
CUSTOM = {"ServiceMonitor", "ServingRuntime", "InferenceService"}  # no schema is at hand
OURS = {"tabserve", "trainer"}


def merge(base: Any, patch: Any, key: str = "") -> Any:
    """Return a value with a strategic merge patch: objects by field, some lists by a key of their items."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return base | {name: merge(base.get(name), value, name) for name, value in patch.items()}
    if key in MERGED_BY and base:
        known, changes = ({item[MERGED_BY[key]]: item for item in items} for items in (base, patch))
        return list(merge(known, changes).values())
    return patch


def build(folder: Path) -> dict[tuple[str, str], Any]:
    """Return the resources of a kustomization with its patches, by kind and name."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert wanted.keys() <= {"apiVersion", "kind", "namespace", "resources", "patches"}, "read no further by this test"
    found: dict[tuple[str, str], Any] = {}
    for name in wanted["resources"]:
        place = folder / name
        found |= build(place) if place.is_dir() else load(place)
    found = patched(found, folder)
    for (kind, _), resource in found.items():
        if kind != "Namespace":
            resource["metadata"]["namespace"] = wanted["namespace"]
    return found


def patched(found: dict[tuple[str, str], Any], folder: Path) -> dict[tuple[str, str], Any]:
    """Return resources with the patches of a kustomization or component."""
    for patch in yaml.safe_load((folder / "kustomization.yaml").read_text()).get("patches", ()):
        ((target, change),) = load(folder / patch["path"]).items()
        found = found | {target: merge(found[target], change)}
    return found


def load(file: Path) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(file.read_text())}


OVERLAYS = {name: build(FOLDER / "overlays" / name) for name in ("single", "replicas")}
KSERVE = load(FOLDER / "kserve" / "serving-runtime.yaml") | load(FOLDER / "kserve" / "inference-service.yaml")
PODS = {
    **{
        f"{overlay}/{name}": resource["spec"]["template"]["spec"]
        for overlay, found in OVERLAYS.items()
        for (kind, name), resource in found.items()
        if kind == "Deployment"
    },
    "kserve": {part: KSERVE["ServingRuntime", "tabserve"]["spec"][part] for part in ("containers", "volumes")},
}
every_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def container_of(pod: Any) -> Any:
    (container,) = pod["containers"]
    return container


def environment_of(pod: Any) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container_of(pod)["env"]}


def mounts_of(pod: Any) -> dict[str, bool]:
    """Return the folders in the container, and whether each may be written."""
    return {mount["mountPath"]: not mount.get("readOnly") for mount in container_of(pod)["volumeMounts"]}


@pytest.mark.slow
@every_overlay
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_makes_the_same_of_the_overlay(overlay: str) -> None:
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout

    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(printed)}
    assert made.keys() == OVERLAYS[overlay].keys()
    for name, resource in OVERLAYS[overlay].items():
        assert in_any_order(made[name]) == in_any_order(resource)


def in_any_order(value: Any) -> Any:
    """Return a value whose merged lists are sorted: their order means nothing."""
    if isinstance(value, dict):
        return {
            key: sorted(map(in_any_order, item), key=partial(json.dumps, sort_keys=True))
            if key in MERGED_BY
            else in_any_order(item)
            for key, item in value.items()
        }
    return [in_any_order(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("release", RELEASES)
def test_every_resource_follows_the_schemas_of_the_release(release: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kserve"}, "spec": PODS["kserve"]}
    without_schema = set()
    for resource in [*OVERLAYS["single"].values(), *OVERLAYS["replicas"].values(), *KSERVE.values(), pod]:
        try:
            assert kubernetes_validate.validate(resource, release, strict=True) == release
        except kubernetes_validate.SchemaNotFoundError:
            without_schema.add(resource["kind"])

    assert without_schema == CUSTOM


def test_a_misspelt_field_is_found() -> None:
    broken = merge(OVERLAYS["single"]["Deployment", "tabserve"], {"spec": {"template": {"spec": {"volume": []}}}})

    with pytest.raises(kubernetes_validate.ValidationError, match="volume"):
        kubernetes_validate.validate(broken, RELEASES[-1], strict=True)


# The policy of each container


@every_pod
def test_container_is_confined(pod: Any) -> None:
    container = container_of(pod)
    rights = pod.get("securityContext", {}) | container["securityContext"]

    assert rights["runAsNonRoot"] is True
    assert rights["runAsUser"] == 10001, "the user of the image"
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    assert {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}} <= {
        "emptyDir",
        "secret",
        "persistentVolumeClaim",
    }


@every_pod
def test_container_has_limits_and_what_it_writes_has_some(pod: Any) -> None:
    container = container_of(pod)

    assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
    assert container["resources"]["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)
    training_bytes = int(environment_of(pod).get("TABSERVE_TRAIN_MEMORY_BYTES", 0))
    memory_gib = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert training_bytes / (1 << 30) + 1 <= memory_gib, "a training fits beside the service"


@every_pod
def test_every_variable_is_a_setting_and_none_is_a_secret(pod: Any) -> None:
    known = {f"TABSERVE_{name.upper()}" for name in Settings.model_fields}
    environment = environment_of(pod)

    assert environment.keys() <= known
    assert {name for name in environment if "KEY" in name} <= {"TABSERVE_KEYS_FILE", "TABSERVE_SIGNING_KEY_FILE"}
    given: Any = {name.removeprefix("TABSERVE_").lower(): value for name, value in environment.items()}
    assert Settings(**given).keys_file == (Path(given["keys_file"]) if "keys_file" in given else None)


@every_pod
def test_image_is_the_release_of_this_code(pod: Any) -> None:
    assert container_of(pod)["image"] == f"tabserve:{metadata.version('tabserve')}"


@every_overlay
def test_pods_get_no_token_and_no_variables_of_services(overlay: str) -> None:
    """A service called tabserve would set TABSERVE_PORT=tcp://... otherwise."""
    for name, pod in PODS.items():
        if name.startswith(overlay):
            assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


# Start, health and stop


@pytest.mark.parametrize("name", [name for name in PODS if name != "kserve"])
def test_grace_is_longer_than_the_service_takes_to_stop(name: str) -> None:
    drain_s = float(environment_of(PODS[name])["TABSERVE_DRAIN_S"])

    assert PODS[name]["terminationGracePeriodSeconds"] >= SHUTDOWN_GRACE_S + drain_s + 5


@every_pod
def test_probes_ask_the_routes_that_are_made_for_them(pod: Any) -> None:
    container = container_of(pod)
    probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}

    paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
    assert {"startupProbe": "/livez"} | paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    ports = {8000, *(port.get("name") for port in container["ports"])}
    assert {probe["httpGet"]["port"] for probe in probes.values()} <= ports
    patience_s = probes["livenessProbe"].get("periodSeconds", 10) * probes["livenessProbe"]["failureThreshold"]
    assert patience_s > Settings().hung_after_s, "the service restarts a process that hangs, and keeps its port"


# Who writes, who speaks to whom


def test_only_the_trainer_writes_the_store_and_trains() -> None:
    expected = {"single/tabserve": True, "replicas/tabserve": False, "replicas/trainer": True}

    assert {name: mounts_of(PODS[name])["/srv/models"] for name in expected} == expected
    assert {name: environment_of(PODS[name])["TABSERVE_TRAIN_CONCURRENCY"] == "1" for name in expected} == expected
    for name in ("single/tabserve", "replicas/trainer"):
        deployment = OVERLAYS[name.partition("/")[0]]["Deployment", name.partition("/")[2]]["spec"]
        assert (deployment.get("replicas", 1), deployment["strategy"]) == (1, {"type": "Recreate"})


@every_overlay
def test_claims_are_those_that_pods_mount_and_can_be_shared_where_they_must(overlay: str) -> None:
    claims = {name: one["spec"] for (kind, name), one in OVERLAYS[overlay].items() if kind == "PersistentVolumeClaim"}
    mounted = {
        volume["persistentVolumeClaim"]["claimName"]
        for name, pod in PODS.items()
        if name.startswith(overlay)
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert claims.keys() == mounted
    mode = {"single": "ReadWriteOnce", "replicas": "ReadWriteMany"}[overlay]
    assert {one["accessModes"][0] for one in claims.values()} == {mode}


def test_settings_are_those_of_compose() -> None:
    for name, twin in (("replicas/tabserve", "api"), ("replicas/trainer", "trainer"), ("single/tabserve", "bare")):
        ours = environment_of(PODS[name])
        theirs = {key: str(value) for key, value in COMPOSE["services"][twin]["environment"].items()}
        same = {key for key in ours.keys() & theirs.keys() if "${" not in theirs[key]}
        assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
        assert {"TABSERVE_KEYS_FILE", "TABSERVE_SIGNING_KEY_FILE", "TABSERVE_AUDIT_FILE"} <= same
        assert ours["TABSERVE_ANONYMOUS"] == "predict"
        paths = {path for path in mounts_of(PODS[name]) if path.startswith("/srv")}
        assert paths <= {volume.split(":")[1] for volume in COMPOSE["services"][twin]["volumes"]}


@every_overlay
def test_strangers_reach_nothing_and_pods_reach_no_other_host_than_dns_and_database(overlay: str) -> None:
    policy = OVERLAYS[overlay]["NetworkPolicy", "tabserve"]["spec"]

    assert policy["podSelector"] == {}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [peer for rule in policy["ingress"] for peer in rule["from"]] == [
        {"namespaceSelector": {"matchLabels": {"tabserve-clients": "true"}}}
    ]
    ports = {port["port"] for rule in policy.get("egress", ()) for port in rule["ports"]}
    assert ports == {"single": set(), "replicas": {53, 5432}}[overlay]
    assert all(rule["to"] for rule in policy.get("egress", ()))
    assert OVERLAYS[overlay]["Namespace", "tabserve"]["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }


@every_overlay
def test_every_selector_finds_its_pods_and_only_those(overlay: str) -> None:
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (kind, name), one in OVERLAYS[overlay].items()
        if kind == "Deployment"
    }
    for (kind, name), resource in OVERLAYS[overlay].items():
        spec = resource.get("spec", {})
        selector = spec.get("selector", {})
        if kind in {"Deployment", "PodDisruptionBudget", "Service"}:
            wanted = selector.get("matchLabels", selector)
            assert [pod for pod, own in labels.items() if wanted.items() <= own.items()] == [name], (kind, name)
        if kind == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in labels


def test_replicas_are_scaled_by_a_metric_that_the_service_has_and_stay_when_nodes_go() -> None:
    found = OVERLAYS["replicas"]
    scaler = found["HorizontalPodAutoscaler", "tabserve"]["spec"]
    (queue,) = (metric["pods"] for metric in scaler["metrics"] if metric["type"] == "Pods")

    assert queue["metric"]["name"] in FAMILIES
    assert int(queue["target"]["averageValue"]) < Settings().max_queue_rows / 2
    assert "replicas" not in found["Deployment", "tabserve"]["spec"], "each apply would undo what the autoscaler did"
    budget = found["PodDisruptionBudget", "tabserve"]["spec"]
    assert scaler["minReplicas"] - budget["maxUnavailable"] >= 1
    assert found["Deployment", "tabserve"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_monitor_names_services_ports_and_jobs_that_exist() -> None:
    found = OVERLAYS["replicas"]
    monitor = found["ServiceMonitor", "tabserve"]["spec"]
    services = [one for (kind, _), one in found.items() if kind == "Service"]
    (expression,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["endpoints"]

    assert {service["metadata"]["labels"][expression["key"]] for service in services} == set(expression["values"])
    assert {service["metadata"]["labels"][monitor["jobLabel"]] for service in services} == {"tabserve", "trainer"}
    assert {port["name"] for service in services for port in service["spec"]["ports"]} == {endpoint["port"]}
    alerts = (PROJECT / "deploy" / "prometheus" / "alerts.yml").read_text()
    assert all(f'job="{job}"' in alerts for job in ("tabserve", "trainer"))


@every_overlay
def test_component_opens_grpc_at_one_port_of_pods_service_and_policy_and_changes_nothing_else(overlay: str) -> None:
    before, after = OVERLAYS[overlay], patched(OVERLAYS[overlay], FOLDER / "components" / "grpc")
    pod = after["Deployment", "tabserve"]["spec"]["template"]["spec"]
    (service, policy) = (after[kind, "tabserve"]["spec"] for kind in ("Service", "NetworkPolicy"))
    (rule,) = policy["ingress"]
    (known,) = before["NetworkPolicy", "tabserve"]["spec"]["ingress"]

    assert {name for name in after if after[name] != before[name]} == {
        (kind, "tabserve") for kind in ("Deployment", "Service", "NetworkPolicy")
    }
    assert environment_of(pod).items() - environment_of(PODS[f"{overlay}/tabserve"]).items() == {
        ("TABSERVE_GRPC_PORT", "8001")
    }
    assert {port["name"]: port["containerPort"] for port in container_of(pod)["ports"]} == {"http": 8000, "grpc": 8001}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == {"http": 8000, "grpc": 8001}
    assert (rule["from"], {port["port"] for port in rule["ports"]}) == (known["from"], {8000, 8001})
    assert policy.get("egress") == before["NetworkPolicy", "tabserve"]["spec"].get("egress")
    for resource in after.values():
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, RELEASES[-1], strict=True)


def test_secrets_are_read_as_kubernetes_lays_them_down(settings: Settings, tmp_path: Path) -> None:
    """Each file of a secret is a link into a folder that is swapped when the secret changes; mode 0440."""
    written = tmp_path / "secret" / "..1"
    written.mkdir(parents=True)
    (tmp_path / "secret" / "..data").symlink_to("..1")
    key = KeyFile(written / "keys.json").create(frozenset(Scope), None, "operator")
    (written / "signing_key").write_text("k" * 64)
    (written / "tabserve_database_url").write_text("postgresql+psycopg://database/tabserve")
    for file in written.iterdir():
        file.chmod(0o440)
        (tmp_path / "secret" / file.name).symlink_to(f"..data/{file.name}")

    secret = tmp_path / "secret"
    files = {"keys_file": secret / "keys.json", "signing_key_file": secret / "signing_key"}
    with TestClient(create_app(settings.model_copy(update=files))) as client:
        given = [{"authorization": f"Bearer {key}"}, {}]
        statuses = [client.get("/models", headers=headers).status_code for headers in given]

    assert statuses == [200, 401]
    assert Settings(_secrets_dir=secret).database_url == "postgresql+psycopg://database/tabserve"
