"""Helm and kubectl, called as programs; whatever they say on failure reaches people with a remedy."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pavo.deploy.model.parts import kind_of
from pavo.deploy.orchestrated.kubernetes import KubernetesOptions
from pavo.deploy.orchestrated.outside_programs import Show, ask, last_line, last_lines, pass_on
from pavo.errors import ConfigurationError, PavoError

ASK_SECONDS = 30
INSTALL_SECONDS = 900
COMPONENTS = ("api", "worker", "gateway")
INSTALL = {
    "helm": "Install Helm 3.14 or later: https://helm.sh/docs/intro/install/",
    "kubectl": "Install kubectl: https://kubernetes.io/docs/tasks/tools/",
}


@dataclass(frozen=True, slots=True)
class PodState:
    """What Kubernetes says of one pod."""

    name: str
    component: str
    """api, worker or gateway."""
    version: str
    """Of a worker with a build id, as the chart names it; else empty."""
    phase: str
    """Pending, Running, …"""
    ready: bool
    restarts: int


class HelmFailed(PavoError):
    """Helm or kubectl ended with an error. Remedy: in their own words, which are passed on."""

    title = "The cluster refused"


_ask = partial(ask, failed=HelmFailed, remedy="Look whether the cluster answers at all.", seconds=ASK_SECONDS)


def check_helm(options: KubernetesOptions) -> str | None:
    """Why nothing can be installed from here; None when it can."""
    if not shutil.which("helm"):
        return "There is no helm on the PATH."
    done = _ask([*_helm(options), "list", "--short"])
    return f"No cluster answers: {last_line(done.stderr)}" if done.returncode else None


def require_helm(options: KubernetesOptions) -> None:
    """Refuse where Helm or a cluster is missing.

    Raises:
        ConfigurationError: with what is missing.
    """
    reason = check_helm(options)
    if reason is None:
        return
    remedy = "Look at kubectl config current-context, or write the files only: --dry-run."
    raise ConfigurationError(
        reason, field="--target", remedy=remedy if shutil.which("helm") else f"{INSTALL['helm']} Or use --dry-run."
    )


def install_chart(options: KubernetesOptions, folder: Path) -> None:
    """Install the written folder's chart, or bring what is installed up to it; waits until every pod is ready.

    Raises:
        ConfigurationError: Helm or a cluster is missing.
        HelmFailed: the cluster refused it, or a pod did not become ready.
    """
    require_helm(options)
    words = [*_helm(options), "upgrade", "--install", options.release, str(folder / "chart"), "--create-namespace"]
    for file in ("values.yaml", *(f"values-{number}.yaml" for number in range(1, len(options.values_files) + 1))):
        words += ["--values", str(folder / file)]
    words += ["--wait", "--timeout", f"{INSTALL_SECONDS - 60}s"]
    _run(words, "helm upgrade --install", seconds=INSTALL_SECONDS)


def uninstall(options: KubernetesOptions) -> None:
    """Drain and remove what the chart made. It keeps no data: Secrets, databases and Temporal are not its own."""
    require_helm(options)
    _run([*_helm(options), "uninstall", options.release, "--wait"], "helm uninstall", seconds=INSTALL_SECONDS)


def status(options: KubernetesOptions) -> list[PodState]:
    """Every pod of API, workers and gateway."""
    said = _run([*_kubectl(options), "get", "pods", *_select(options), "--output", "json"], "kubectl get pods")
    pods = [_pod(item) for item in json.loads(said)["items"]]
    return sorted((pod for pod in pods if pod.component in COMPONENTS), key=lambda pod: (pod.component, pod.name))


def restart(options: KubernetesOptions, part: str) -> None:
    """Replace the pods of `api`, `worker` or `gateway` one after the other."""
    component = _component(part)
    words = [*_kubectl(options), "rollout", "restart", "deployment", *_select(options, component)]
    _run(words, "kubectl rollout restart")


def logs(
    options: KubernetesOptions,
    part: str | None = None,
    *,
    follow: bool = False,
    lines: int = 100,
    show: Show | None = None,
) -> int:
    """Pass the pods' logs on to our own output, or each line's pod and text to `show`; kubectl's exit code."""
    selected = _select(options, None if part is None else _component(part))
    words = [*_kubectl(options), "logs", *selected, "--prefix", "--tail", str(lines), "--max-log-requests", "50"]
    words += ["--follow"] if follow else []
    return pass_on(words, re.compile(r"\[pod/(?P<part>[^/\]]+)[^\]]*\] ?(?P<line>.*)"), show)


def _component(part: str) -> str:
    kind = kind_of(part).name
    if kind not in COMPONENTS:
        raise ConfigurationError(
            f"{kind} is not part of this chart.",
            field="part",
            remedy="It has api, worker and gateway; stores and Temporal are run beside it.",
        )
    return kind


def _helm(options: KubernetesOptions) -> list[str]:
    context = ["--kube-context", options.context] if options.context else []
    return ["helm", "--namespace", options.namespace, *context]


def _kubectl(options: KubernetesOptions) -> list[str]:
    if not shutil.which("kubectl"):
        raise ConfigurationError("There is no kubectl on the PATH.", field="--target", remedy=INSTALL["kubectl"])
    context = ["--context", options.context] if options.context else []
    return ["kubectl", "--namespace", options.namespace, *context]


def _select(options: KubernetesOptions, component: str | None = None) -> list[str]:
    wanted = f"app.kubernetes.io/instance={options.release}"
    return ["--selector", f"{wanted},app.kubernetes.io/component={component}" if component else wanted]


def _run(words: Sequence[str], what: str, *, seconds: float = ASK_SECONDS) -> str:
    done = _ask(words, seconds=seconds)
    if done.returncode:
        remedy = "Look at pavo deploy status and docs/deployment-kubernetes.md."
        raise HelmFailed(f"{what}: {last_lines(done)}", remedy=remedy)
    return done.stdout


def _pod(item: dict[str, Any]) -> PodState:
    labels: dict[str, str] = item["metadata"].get("labels", {})
    found = item["status"].get("containerStatuses", [])
    return PodState(
        item["metadata"]["name"],
        labels.get("app.kubernetes.io/component", ""),
        labels.get("pavo.dev/worker-version", ""),
        item["status"].get("phase", "Unknown"),
        bool(found) and all(one["ready"] for one in found),
        sum(int(one["restartCount"]) for one in found),
    )
