"""The chart's objects of KEDA and the Prometheus operator, against their own definitions, from their Go modules."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.test_kubernetes import objects

KEDA = "github.com/kedacore/keda/v2@v2.21.0"
LEAST_KEDA = "github.com/kedacore/keda/v2@v2.20.2"
"""Of the oldest minor that knows worker deployments."""
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
DEFINITIONS = {
    "ScaledObject": (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "TriggerAuthentication": (KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    "PodMonitor": (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
}
RUNNING = "includeRunningWorkflowCount"


@cache
def module(name: str) -> Path:
    """A Go module's files: from Go's cache, else downloaded, which takes seconds; nothing is built."""
    if not shutil.which("go"):
        pytest.skip("there is no Go, by which these definitions are had")
    done = subprocess.run(
        ["go", "mod", "download", "-json", name], capture_output=True, text=True, check=False, cwd="/"
    )
    found = json.loads(done.stdout or "{}")
    if "Dir" not in found:
        pytest.skip(f"{name} cannot be had: {found.get('Error') or done.stderr}")
    return Path(found["Dir"])


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """As the API server reads it, but with unknown fields an error instead of dropped."""
    found = {name: strict(each) if isinstance(each, dict) else each for name, each in schema.items()}
    if "properties" in found and "additionalProperties" not in found and found.get("type") == "object":
        found["additionalProperties"] = bool(found.get("x-kubernetes-preserve-unknown-fields"))
    return found


@cache
def definition(kind: str) -> dict[str, Any]:
    name, path = DEFINITIONS[kind]
    document = yaml.safe_load((module(name) / path).read_text())
    version = next(each for each in document["spec"]["versions"] if each["storage"])
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {}
    return {"version": f"{document['spec']['group']}/{version['name']}", "schema": strict(schema)}


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("keda", "ScaledObject"),
        ("keda without versions", "ScaledObject"),
        ("everything", "ScaledObject"),
        ("keda", "TriggerAuthentication"),
        ("everything", "TriggerAuthentication"),
        ("everything", "PodMonitor"),
    ],
)
def test_each_is_what_its_operator_takes(case: str, kind: str) -> None:
    found = objects(case, kind)
    assert found
    for item in found:
        assert item["apiVersion"] == definition(kind)["version"]
        jsonschema.validate(item, definition(kind)["schema"])
        wrong = json.loads(json.dumps(item))
        wrong["spec"]["spek"] = 1
        with pytest.raises(jsonschema.ValidationError, match="spek"):
            jsonschema.validate(wrong, definition(kind)["schema"])


@pytest.mark.parametrize("name", [KEDA, LEAST_KEDA])
def test_the_scaler_knows_every_setting_that_it_is_given(name: str) -> None:
    source = (module(name) / "pkg/scalers/temporal_scaler.go").read_text()
    known = set(re.findall(r'keda:"name=(\w+)', source))
    for case in ("keda", "keda without versions", "everything"):
        for item in objects(case, "ScaledObject"):
            given = set(item["spec"]["triggers"][0]["metadata"])
            assert given - known <= ({RUNNING} if name == LEAST_KEDA else set()), (case, given - known)
    for entry in objects("everything", "TriggerAuthentication")[0]["spec"]["secretTargetRef"]:
        assert entry["parameter"] in known


def test_the_pages_name_the_least_version(root: Path) -> None:
    page, values = (
        (root / "docs" / "deployment-kubernetes.md").read_text(),
        (root / "src/pavo/deploy/charts/pavo/values.yaml").read_text(),
    )
    least = re.search(r"@v(\d+\.\d+)", LEAST_KEDA)
    assert least is not None
    assert f"KEDA {least[1]} or later" in page and f"KEDA {least[1]} or later" in values
