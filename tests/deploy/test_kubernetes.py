"""The chart: rendered by Helm's own library, checked against Kubernetes' schemas, and what it promises."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pavo.config import GatewaySettings
from pavo.deploy.model.parts import PARTS
from pavo.deploy.orchestrated import helm
from pavo.deploy.orchestrated.kubernetes import CHART, KubernetesOptions, WorkerBuild, changes, render, values, write
from pavo.errors import ConfigurationError
from pavo.temporal.search_attributes import TYPES

KUBERNETES = ("1.29", kubernetes_validate.latest_version())
"""The oldest that the chart takes, and the newest that there are schemas of."""
CUSTOM = {"ScaledObject", "TriggerAuthentication", "PodMonitor"}
OPTIONS = KubernetesOptions("temporal-frontend.temporal:7233")
BASE = values(OPTIONS)
VERSIONS = [{"buildId": "2.0+b", "image": {"tag": "2.0"}}, {"buildId": "1.10", "image": {"tag": "1.10"}, "replicas": 1}]
CLOUD = {
    "temporal": {
        "address": "eu.api.temporal.io:7233",
        "namespace": "ns.acct",
        "searchAttributes": True,
        "apiKey": {"secretName": "cloud", "key": "TEMPORAL_API_KEY"},
    }
}
SEALING = ("PAVO_SEALING_KEY",)
TLS = {
    "temporal": {
        "address": "t:7233",
        "tls": {"enabled": True, "secretName": "certs", "caKey": "ca.crt", "certKey": "tls.crt", "keyKey": "tls.key"},
    }
}
EVERYTHING = {
    **TLS,
    "workerVersions": VERSIONS,
    "codec": {"secretName": "codec", "key": "K"},
    "sealing": {"secretName": "sealing", "key": "K"},
    "api": {
        "ingress": {"enabled": True, "host": "pavo.example.com", "className": "nginx", "tlsSecretName": "cert"},
        "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4, "cpuPercent": 60},
        "env": [{"name": "LLM", "value": "x"}],
        "publicHosts": ["pavo.example.com"],
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"pool": "a"},
        "podAnnotations": {"a": "b"},
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"x": "y"}},
    },
    "gateway": {
        "tls": {"secretName": "agents"},
        "ingress": {"enabled": True, "host": "agents.example.com", "className": "nginx", "tlsSecretName": "cert"},
        "env": [{"name": "PAVO_GATEWAY_AGENTS", "value": "50"}],
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"x": "y"}},
    },
    "keda": {"enabled": True, "includeRunningWorkflows": True},
    "monitoring": {"serviceMonitor": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "gatewayFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "egress": [{"ports": [{"port": 443}]}],
    },
    "image": {"digest": "sha256:" + "a" * 64, "pullSecrets": ["registry"]},
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "versions": {"workerVersions": VERSIONS},
    "cloud": CLOUD,
    "tls": TLS,
    "keda": {"keda": {"enabled": True}, "workerVersions": VERSIONS, **CLOUD},
    "keda without versions": {"keda": {"enabled": True}},
    "cpu": {"autoscaling": {"enabled": True}, "workerVersions": VERSIONS},
    "external": {"autoscaling": {"enabled": True, "external": {"metric": "backlog", "selector": {"queue": "q"}}}},
    "everything": EVERYTHING,
    "no gateway": {"gateway": {"enabled": False}, "networkPolicy": {"enabled": True}},
    "bare": {
        "serviceAccount": {"create": False},
        "migration": {"enabled": False},
        "monitoring": {"enabled": False},
        "topologySpread": {"enabled": False},
        "api": {"podDisruptionBudget": {"enabled": False}},
        "gateway": {"podDisruptionBudget": {"enabled": False}},
        "worker": {
            "podDisruptionBudget": {"enabled": False},
            "env": [{"name": "PAVO_GATEWAY_URL", "value": "http://gateway:8000/llm/v1"}],
        },
    },
}


def merged(case: dict[str, Any]) -> dict[str, Any]:
    return values(KubernetesOptions(OPTIONS.temporal_address, values=case))


def rendered(cases: list[dict[str, Any]], upgrade: bool = False) -> dict[str, Any]:
    pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel for this platform", exc_type=ImportError)
    script = Path(__file__).with_name("helm_render.py")
    given = json.dumps([{"values": case, "upgrade": upgrade} for case in cases])
    words = [sys.executable, str(script), str(CHART), json.dumps(BASE)]
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=True, timeout=100)
    return json.loads(done.stdout)


@cache
def all_cases() -> dict[str, Any]:
    """One process for all of them: loading the library takes most of the time."""
    said = rendered([merged(case) for case in CASES.values()])
    found = dict(zip(CASES, said["cases"], strict=True))
    return {"lint": said["lint"], **found}


def objects(case: str, kind: str = "") -> list[dict[str, Any]]:
    """What a case makes, all or of one kind."""
    assert "error" not in all_cases()[case], all_cases()[case]
    files = {name: text for name, text in all_cases()[case]["files"].items() if name.endswith(".yaml")}
    found = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    return [one for one in found if not kind or one["kind"] == kind]


def one(case: str, kind: str, name: str) -> dict[str, Any]:
    return next(found for found in objects(case, kind) if found["metadata"]["name"] == name)


def container(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]["containers"][0]


def environment(workload: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(workload)["env"]}


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_what_kubernetes_takes(case: str, version: str) -> None:
    found = objects(case)
    assert len(found) >= 3
    for item in found:
        if item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, version, strict=True)


def test_the_schemas_find_mistakes() -> None:
    wrong = json.loads(json.dumps(one("plain", "Deployment", "demo-pavo-api")))
    container(wrong)["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


def test_helm_lints_it_without_a_warning() -> None:
    found = all_cases()["lint"]
    assert found["errors"] is None or found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] >= 2] == []


@pytest.mark.parametrize("case", CASES)
def test_names_are_unique_and_short(case: str) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in objects(case)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 54 for _, name in names), names  # KEDA and pods add to them, up to 63
    assert {item["metadata"]["namespace"] for item in objects(case)} == {"team"}


def test_a_long_release_and_a_strange_build_id_still_make_names() -> None:
    case = merged({"fullnameOverride": "a" * 80, "workerVersions": [{"buildId": "Feature/" + "ä" * 150}]})
    found = rendered([case])["cases"][0]["files"]["pavo/templates/worker.yaml"]
    for item in yaml.safe_load_all(found):
        name = item["metadata"]["name"] if item else "ok"
        assert len(name) <= 60 and name.isascii() and name.replace("-", "").isalnum(), name


@pytest.mark.parametrize("case", CASES)
def test_pods_are_locked_down(case: str) -> None:
    for workload in [*objects(case, "Deployment"), *objects(case, "Job")]:
        spec = workload["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        assert spec["automountServiceAccountToken"] is False
        inside = container(workload)["securityContext"]
        assert inside["readOnlyRootFilesystem"] and not inside["allowPrivilegeEscalation"]
        assert inside["capabilities"] == {"drop": ["ALL"]}
        assert container(workload)["resources"]["limits"]["memory"]
        assert {"name": "tmp", "mountPath": "/tmp"} in container(workload)["volumeMounts"]


@pytest.mark.parametrize("case", CASES)
def test_no_secret_stands_in_the_chart(case: str) -> None:
    assert not objects(case, "Secret") and not objects(case, "ConfigMap")
    for workload in [*objects(case, "Deployment"), *objects(case, "Job")]:
        found = environment(workload)
        for name in (
            "DATABASE_URL",
            "REDIS_URL",
            "PAVO_SECRET_KEY",
            "TEMPORAL_API_KEY",
            "PAVO_TEMPORAL_CODEC_KEY",
            *SEALING,
        ):
            assert name not in found or "secretKeyRef" in found[name], name


def test_all_kinds_of_pods_get_the_key_of_secrets() -> None:
    for part in ("api", "worker", "gateway"):
        names = [
            each["metadata"]["name"] for each in objects("everything", "Deployment") if part in each["metadata"]["name"]
        ]
        found = environment(one("everything", "Deployment", names[0]))["PAVO_SEALING_KEY"]
        assert found["secretKeyRef"] == {"name": "sealing", "key": "K"}


def test_agents_never_see_the_key_of_sessions() -> None:
    assert "PAVO_SECRET_KEY" in environment(one("plain", "Deployment", "demo-pavo-api"))
    for other in ("worker", "gateway"):
        assert "PAVO_SECRET_KEY" not in environment(one("plain", "Deployment", f"demo-pavo-{other}"))


def test_agents_reach_the_model_gateway() -> None:
    """By the API's Service, also where few may reach it; who names another address has that one alone."""
    for case, address in {
        "plain": "http://demo-pavo-api.team.svc:80/llm/v1",
        "everything": "http://demo-pavo-api.team.svc:443/llm/v1",
        "bare": "http://gateway:8000/llm/v1",
    }.items():
        for worker in workers(case):
            named = [each for each in container(worker)["env"] if each["name"] == "PAVO_GATEWAY_URL"]
            assert named == [{"name": "PAVO_GATEWAY_URL", "value": address}], case
    [rule, _] = one("everything", "NetworkPolicy", "demo-pavo-api")["spec"]["ingress"]
    [*_, peer] = rule["from"]
    labels = container_labels(workers("everything")[0])
    assert len(rule["from"]) == 2 and peer["podSelector"]["matchLabels"].items() <= labels.items()


def container_labels(workload: dict[str, Any]) -> dict[str, str]:
    return workload["spec"]["template"]["metadata"]["labels"]


def test_probes_ask_what_they_should() -> None:
    api = container(one("plain", "Deployment", "demo-pavo-api"))
    assert [api[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")] == [
        "/healthz",
        "/healthz",
        "/readyz",
    ]
    worker = container(one("plain", "Deployment", "demo-pavo-worker"))
    assert worker["startupProbe"]["exec"]["command"][-1] in worker["command"][-1]
    assert worker["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    gateway = container(one("plain", "Deployment", "demo-pavo-gateway"))
    assert gateway["startupProbe"]["exec"]["command"][-1] in gateway["command"][-1]
    assert gateway["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert gateway["readinessProbe"]["tcpSocket"]["port"] in {port["name"] for port in gateway["ports"]}
    for name in ("worker", "gateway"):
        assert "livenessProbe" not in container(one("bare", "Deployment", f"demo-pavo-{name}"))


def gateway_of(case: str) -> GatewaySettings:
    """What its process reads of its environment."""
    return GatewaySettings.model_validate(environment(one(case, "Deployment", "demo-pavo-gateway")))


def test_the_gateway_has_its_certificate_or_only_the_cluster_reaches_it() -> None:
    plain, named = gateway_of("plain"), gateway_of("everything")
    assert plain.host == named.host == "0.0.0.0"
    assert plain.insecure and plain.certificate is None
    service = one("plain", "Service", "demo-pavo-gateway")["spec"]
    assert service["type"] == "ClusterIP" and service["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    assert not named.insecure and named.agents == 50
    assert (str(named.certificate), str(named.key)) == ("/etc/pavo/gateway/tls.crt", "/etc/pavo/gateway/tls.key")
    deployment = one("everything", "Deployment", "demo-pavo-gateway")
    mounts = {mount["mountPath"]: mount["name"] for mount in container(deployment)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes[mounts["/etc/pavo/gateway"]]["secret"]["secretName"] == "agents"
    assert "/etc/pavo/gateway" not in str(one("plain", "Deployment", "demo-pavo-gateway"))
    assert "gateway-tls" not in str(one("everything", "Deployment", "demo-pavo-api"))


@pytest.mark.parametrize("case", ["plain", "everything"])
def test_agents_reach_the_gateway_by_its_service(case: str) -> None:
    service = one(case, "Service", "demo-pavo-gateway")
    deployment = one(case, "Deployment", "demo-pavo-gateway")
    assert service["spec"]["selector"].items() <= container_labels(deployment).items()
    ports = {port["name"]: port["containerPort"] for port in container(deployment)["ports"]}
    assert ports[service["spec"]["ports"][0]["targetPort"]] == gateway_of(case).port
    budget = one(case, "PodDisruptionBudget", "demo-pavo-gateway")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_agents_reach_the_gateway_through_ingress_and_network_policy() -> None:
    [rule] = one("everything", "Ingress", "demo-pavo-gateway")["spec"]["rules"]
    [path] = rule["http"]["paths"]
    service = one("everything", "Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    allowed, metrics = one("everything", "NetworkPolicy", "demo-pavo-gateway")["spec"]["ingress"]
    assert allowed["from"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert [allowed["ports"][0]["port"], metrics["ports"][0]["port"]] == [7443, 9464]


def test_without_the_gateway_nothing_of_it_is_there() -> None:
    assert len(objects("no gateway", "NetworkPolicy")) == 2
    assert [item["metadata"]["name"] for item in objects("no gateway") if "gateway" in item["metadata"]["name"]] == []


@pytest.mark.parametrize("name", ["api", "worker", "gateway"])
def test_pods_have_time_to_drain(name: str) -> None:
    spec = one("plain", "Deployment", f"demo-pavo-{name}")["spec"]["template"]["spec"]
    before = container({"spec": {"template": {"spec": spec}}}).get("lifecycle", {}).get("preStop", {})
    pause = int(before["exec"]["command"][-1]) if before else 0
    assert spec["terminationGracePeriodSeconds"] > pause + ceil(PARTS[name].drain_seconds)
    least = json.loads((CHART / "values.schema.json").read_text())["properties"][name]["properties"]
    assert least["terminationGracePeriodSeconds"]["minimum"] > pause + PARTS[name].drain_seconds


def test_the_environment_is_what_pavo_reads(root: Path) -> None:
    known = (root / "docs" / "configuration.md").read_text() + " PAVO_READY_FD"
    for case in CASES:
        for workload in [*objects(case, "Deployment"), *objects(case, "Job")]:
            assert [name for name in environment(workload) if name not in known and name != "LLM"] == []


def test_versions_run_beside_each_other() -> None:
    found = {environment(item)["PAVO_WORKER_BUILD_ID"]: item for item in workers("versions")}
    assert set(found) == {"2.0+b", "1.10"}
    assert [container(found[build])["image"] for build in ("2.0+b", "1.10")] == ["pavo:2.0", "pavo:1.10"]
    assert [found[build]["spec"]["replicas"] for build in ("2.0+b", "1.10")] == [2, 1]
    selectors = [json.dumps(item["spec"]["selector"]["matchLabels"]) for item in found.values()]
    assert len(set(selectors)) == 2
    budgets = [
        json.dumps(item["spec"]["selector"]["matchLabels"]) for item in objects("versions", "PodDisruptionBudget")
    ]
    assert set(selectors) < set(budgets)
    for item in found.values():
        assert environment(item)["PAVO_WORKER_DEPLOYMENT"] == "pavo"
    assert "PAVO_WORKER_BUILD_ID" not in environment(workers("plain")[0])


def workers(case: str) -> list[dict[str, Any]]:
    return [item for item in objects(case, "Deployment") if "worker" in item["metadata"]["name"]]


def test_a_version_keeps_its_name_when_others_come_and_go() -> None:
    alone = rendered([merged({"workerVersions": VERSIONS[1:]})])["cases"][0]["files"]["pavo/templates/worker.yaml"]
    kept = next(item for item in yaml.safe_load_all(alone) if item and item["kind"] == "Deployment")
    same = next(item for item in workers("versions") if environment(item)["PAVO_WORKER_BUILD_ID"] == "1.10")
    assert kept == same


def test_keda_scales_each_version_by_its_own_backlog() -> None:
    scaled = objects("keda", "ScaledObject")
    targets = {item["metadata"]["name"] for item in workers("keda")}
    assert {item["spec"]["scaleTargetRef"]["name"] for item in scaled} == targets
    assert all("replicas" not in item["spec"] for item in workers("keda"))
    found = {item["spec"]["triggers"][0]["metadata"]["workerDeploymentBuildId"]: item for item in scaled}
    trigger = found["1.10"]["spec"]["triggers"][0]
    assert trigger["type"] == "temporal"
    assert trigger["metadata"] == {
        "endpoint": "eu.api.temporal.io:7233",
        "namespace": "ns.acct",
        "taskQueue": "orchestrator",
        "queueTypes": "workflow,activity",
        "targetQueueSize": "5",
        "activationTargetQueueSize": "0",
        "workerDeploymentName": "pavo",
        "workerDeploymentBuildId": "1.10",
    }
    planning = found["1.10"]["spec"]["triggers"][1]
    of_its_own = {"taskQueue": "orchestrator-plans", "queueTypes": "activity"}
    assert planning == {**trigger, "metadata": {**trigger["metadata"], **of_its_own}}
    authentication = one("keda", "TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert authentication["spec"]["secretTargetRef"] == [
        {"parameter": "apiKey", "name": "cloud", "key": "TEMPORAL_API_KEY"}
    ]
    plain = objects("keda without versions", "ScaledObject")[0]["spec"]["triggers"][0]
    assert "workerDeploymentBuildId" not in plain["metadata"] and "authenticationRef" not in plain
    by_certificate = objects("everything", "TriggerAuthentication")[0]["spec"]["secretTargetRef"]
    assert {entry["parameter"]: entry["key"] for entry in by_certificate} == {
        "ca": "ca.crt",
        "cert": "tls.crt",
        "key": "tls.key",
    }


def test_without_keda_workers_scale_by_cpu_or_an_external_metric() -> None:
    assert [item["spec"]["metrics"][0]["type"] for item in objects("cpu", "HorizontalPodAutoscaler")] == [
        "Resource"
    ] * 2
    external = objects("external", "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["external"]
    assert external["metric"] == {"name": "backlog", "selector": {"matchLabels": {"queue": "q"}}}


def test_temporal_cloud_and_certificates_reach_every_process() -> None:
    for workload in objects("cloud", "Deployment"):
        found = environment(workload)
        assert found["TEMPORAL_API_KEY"] == {"secretKeyRef": {"name": "cloud", "key": "TEMPORAL_API_KEY"}}
        assert found["TEMPORAL_TLS"] == "true" and found["TEMPORAL_NAMESPACE"] == "ns.acct"
    for workload in objects("tls", "Deployment"):
        found = environment(workload)
        assert found["TEMPORAL_TLS_SERVER_CA_CERT_PATH"] == "/etc/pavo/temporal/ca.crt"
        assert found["TEMPORAL_TLS_CLIENT_KEY_PATH"] == "/etc/pavo/temporal/tls.key"
        mounts = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
        assert mounts["temporal-tls"] == "/etc/pavo/temporal"


def test_search_attributes_are_carried_only_when_switched_on(root: Path) -> None:
    assert "PAVO_SEARCH_ATTRIBUTES" not in environment(one("plain", "Deployment", "demo-pavo-api"))
    assert environment(one("cloud", "Deployment", "demo-pavo-api"))["PAVO_SEARCH_ATTRIBUTES"] == "true"
    page = (root / "docs" / "deployment-kubernetes.md").read_text()
    for name, kind in TYPES.items():
        assert f"--name {name} --type {kind}" in page


def test_the_migration_runs_before_anything_else() -> None:
    job = objects("plain", "Job")[0]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert container(job)["args"] == ["migrate"]
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert not objects("bare", "Job")


def test_a_digest_wins_over_a_tag_but_not_over_a_versions_own() -> None:
    digest = "pavo@sha256:" + "a" * 64
    assert container(one("everything", "Deployment", "demo-pavo-api"))["image"] == digest
    assert {container(item)["image"] for item in workers("everything")} == {"pavo:2.0", "pavo:1.10"}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"temporal": {"address": ""}}, "temporal.address is required"),
        ({"database": {"secretName": ""}}, "database.secretName is required"),
        ({"keda": {"enabled": True}, "autoscaling": {"enabled": True}}, "exclude each other"),
        ({"api": {"ingress": {"enabled": True}}}, "api.ingress.host is required"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.host is required"),
        ({"gateway": {"service": {"type": "LoadBalancer"}}}, "gateway.tls.secretName is required"),
        ({"gateway": {"terminationGracePeriodSeconds": 13}}, "terminationGracePeriodSeconds"),
        ({"workers": 3}, "workers"),
        ({"workerVersions": [{"buildId": "a:b"}]}, "buildId"),
        ({"workerVersions": [{"buildId": 1.1}]}, "buildId"),
        ({"api": {"replicas": "two"}}, "replicas"),
        ({"api": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"temporal": {"address": "http://t:7233"}}, "address"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(case: dict[str, Any], said: str) -> None:
    assert said in refusals()[json.dumps(case)]


@cache
def refusals() -> dict[str, str]:
    marks = test_wrong_values_are_refused_by_name.pytestmark  # type: ignore[attr-defined]
    cases = [case for case, _ in marks[0].args[1]]
    found = rendered([merged(case) for case in cases])["cases"]
    return {json.dumps(case): one.get("error", "") for case, one in zip(cases, found, strict=True)}


def test_writing_makes_a_chart_that_helm_takes(tmp_path: Path) -> None:
    options = KubernetesOptions(
        "t:7233", worker_versions=(WorkerBuild("2", "2.0"), WorkerBuild("1", replicas=1)), keda=True
    )
    assert set(changes(options, tmp_path).values()) == {"new"}
    assert {file.relative_to(tmp_path).as_posix() for file in write(options, tmp_path)} == set(render(options))
    assert write(options, tmp_path) == [] and set(changes(options, tmp_path).values()) == {"kept"}
    assert write(KubernetesOptions("t:7234"), tmp_path) == [tmp_path / "values.yaml"]
    if not shutil.which("helm"):
        pytest.skip("helm is not installed")
    words = ["helm", "template", "x", str(tmp_path / "chart"), "--values", str(tmp_path / "values.yaml")]
    words += ["--kube-version", "1.31.0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_people_choose_reaches_the_values() -> None:
    found = values(
        KubernetesOptions(
            "t:1",
            worker_versions=(WorkerBuild("b", "tag", 3),),
            api_key_secret="key",
            values={"api": {"publicHosts": ["h"]}},
        )
    )
    assert found["workerVersions"] == [{"buildId": "b", "image": {"tag": "tag"}, "replicas": 3}]
    assert found["temporal"]["apiKey"] == {"secretName": "key"}
    assert found["api"] == {"replicas": 2, "publicHosts": ["h"]}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (KubernetesOptions("temporal"), "--temporal"),
        (KubernetesOptions("t:7233", workers=0), "--workers"),
        (KubernetesOptions("t:7233", worker_versions=(WorkerBuild("a"), WorkerBuild("a"))), "worker_versions"),
    ],
)
def test_bad_options_are_named(options: KubernetesOptions, field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        render(options)
    assert raised.value.field == field


def test_without_helm_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no helm") as raised:
        helm.install_chart(OPTIONS, tmp_path)
    assert "Install Helm" in (raised.value.remedy or "")
    with pytest.raises(ConfigurationError, match="no kubectl"):
        helm.status(OPTIONS)


def test_without_a_cluster_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("helm"):
        pytest.skip("helm is not installed")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="No cluster answers"):
        helm.install_chart(OPTIONS, tmp_path)


FAKE = """#!/bin/sh
echo "$(basename "$0") $@" >> {folder}/calls
case "$*" in
  *upgrade*) echo 'Error: context deadline exceeded' >&2; exit 1 ;;
  *"get pods"*) cat {folder}/pods ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helm and a kubectl that write down what they were asked; nothing gets ready in their cluster."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("helm", "kubectl"):
        (folder / name).write_text(FAKE.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_what_helm_says_on_failure_is_passed_on(fake: Path, tmp_path: Path) -> None:
    options = KubernetesOptions("t:7233", release="r", namespace="n", context="c")
    with pytest.raises(helm.HelmFailed, match="deadline exceeded"):
        helm.install_chart(options, tmp_path)
    call = (fake / "calls").read_text().splitlines()[-1]
    assert call.startswith(f"helm --namespace n --kube-context c upgrade --install r {tmp_path}/chart")
    helm.uninstall(options)
    assert "uninstall r" in (fake / "calls").read_text()


def test_status_and_restart_speak_of_parts(fake: Path) -> None:
    def pod(name: str, component: str, *, ready: bool) -> dict[str, Any]:
        labels = {"app.kubernetes.io/component": component, "pavo.dev/worker-version": "v"}
        found = [{"ready": ready, "restartCount": 2}]
        return {
            "metadata": {"name": name, "labels": labels},
            "status": {"phase": "Running", "containerStatuses": found},
        }

    pods = [pod("w", "worker", ready=False), pod("a", "api", ready=True), pod("m", "migrate", ready=False)]
    pods += [pod("g", "gateway", ready=True)]
    (fake / "pods").write_text(json.dumps({"items": pods}))
    found = [(one.name, one.ready, one.restarts) for one in helm.status(OPTIONS)]
    assert found == [("a", True, 2), ("g", True, 2), ("w", False, 2)]
    helm.restart(OPTIONS, "worker-2")
    assert "component=worker" in (fake / "calls").read_text().splitlines()[-1]
    with pytest.raises(ConfigurationError, match="not part of this chart"):
        helm.restart(OPTIONS, "temporal")
