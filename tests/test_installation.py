"""The wheel, built once and installed with each extra outside of the checkout: what is promised is there, no more."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pavo.kit import extras
from tests.parts import free_port

pytestmark = pytest.mark.timeout(300)

UV = Path(sys.executable).with_name("uv")
PLAIN = {"LANG": "C.UTF-8", "TERM": "dumb", "TEMPORAL_CONFIG_FILE": os.devnull, "UV_SYSTEM_CERTS": "1"}

BASE = (
    "pavo.agents.contract",
    "pavo.cli.api_client",
    "pavo.cli.task.client",
    "pavo.cli.task.commands",
    "pavo.cli.task.run",
    "pavo.cli.usage.commands",
    "pavo.config",
    "pavo.kit.json_values",
    "pavo.logging",
)
WORKER = (
    "pavo.worker",
    "pavo.kit.migrate",
    "pavo.cli.admin.corpus",
    "pavo.cli.admin.organisations",
    "pavo.cli.admin.secrets",
    "pavo.cli.admin.tokens",
    "pavo.cli.task.agents",
    "pavo.cli.deploy.commands",
    "pavo.cli.deploy.check",
    "pavo.cli.deploy.validate",
)
BROUGHT_BY_OTHERS = {"google.protobuf"}
"""Temporal's SDK and OpenTelemetry's exporter need it too."""
PROMISED: dict[tuple[extras.Extra, ...], Sequence[str]] = {
    (): BASE,
    ("worker",): WORKER,
    ("flows",): ("pavo.cli.flow.commands", "pavo.flows.expressions.child"),
    ("server",): ("pavo.api", "pavo.gateway"),
    ("agent",): ("pavo.remote.composition", "pavo.remote.doctor"),
    ("embedded",): (),
    ("otel",): (),
    ("server", "embedded", "otel"): ("pavo.deploy.local.embedded", "pavo.observe.tracing"),
}
"""What of Pavo's own can be imported with these extras, and cannot with fewer."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment of its own, with a home and a working directory outside of the checkout."""

    folder: Path

    def run(self, program: str, *words: str, code: int = 0, **environment: str) -> str:
        """Run one of its programs; answers what it printed, on both streams."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        found = self.folder / "bin"
        given = {
            **PLAIN,
            "PATH": f"{found}:/usr/bin:/bin",
            "HOME": str(home),
            "XDG_DATA_HOME": str(home),
            **environment,
        }
        done = subprocess.run(
            [found / program, *words],
            cwd=home,
            env=given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        told = done.stdout + done.stderr
        assert done.returncode == code and "Traceback" not in told, told
        return told


def uv(*words: str | Path) -> None:
    """What set-up has put into the cache is enough; only where there is none the network is asked."""
    given = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    for network in ("--offline", "--no-progress"):
        done = subprocess.run([UV, *words, network], env=given, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
    pytest.fail(done.stderr)


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, root)
    [found] = folder.glob("*.whl")
    assert found.name.startswith("pavo_temporal-")
    return found


def installed(wheel: Path, root: Path, folder: Path, *wanted: extras.Extra) -> Installed:
    """The wheel with these extras, its dependencies as the lock pins them."""
    uv("venv", "--python", sys.executable, folder)
    named = f"{extras.DISTRIBUTION}[{','.join(wanted)}] @ {wheel.as_uri()}"
    python = folder / "bin" / "python"
    uv("pip", "install", "--python", python, "--constraint", root / "requirements.lock", named)
    return Installed(folder)


@pytest.fixture(scope="module")
def base(wheel: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, root, tmp_path_factory.mktemp("base") / "venv")


@pytest.mark.parametrize("wanted", PROMISED, ids=lambda wanted: ",".join(wanted) or "base")
def test_an_extra_brings_what_it_promises(
    wanted: tuple[extras.Extra, ...], wheel: Path, root: Path, tmp_path: Path
) -> None:
    found = installed(wheel, root, tmp_path / "venv", *wanted)
    assert found.run("pavo", "--version") == "pavo-temporal 0.1.0 (import pavo)\n"
    absent = set(extras.modules_of(*extras.MODULES)) - set(extras.modules_of(*wanted)) - BROUGHT_BY_OTHERS
    program = (
        "import importlib, sys\n"
        "from pavo.kit.extras import MODULES, require\n"
        f"for name in {PROMISED[wanted]!r}: importlib.import_module(name)\n"
        f"require('It', *{wanted!r})\n"
        f"if len({wanted!r}) == 1:\n"
        f"    for name in MODULES[{wanted!r}[0]]: importlib.import_module(name)\n"
        f"for name in {sorted(absent)!r}:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError: continue\n"
        "    sys.exit(f'{name} came without its extra')\n"
        "import pavo; print(pavo.__file__)\n"
    )
    assert str(tmp_path) in found.run("python", "-c", program)
    if wanted == ("flows",):
        assert "fan-out" in found.run("pavo", "flow", "templates")
    if "embedded" in wanted:
        servers = "from pavo.deploy.local.components.wheels import *; print(redis_server(), temporal_server())"
        assert found.run("python", "-c", servers).count(str(tmp_path)) == 2


def test_the_base_helps_and_says_cleanly_that_nothing_answers(base: Installed) -> None:
    assert {"run", "task", "worker", "deploy"} <= set(base.run("pavo", "--help").split())
    assert "--accept" in base.run("pavo", "run", "--help")
    told = base.run("pavo", "task", "list", code=5, PAVO_URL=f"http://127.0.0.1:{free_port()}")
    assert told.startswith("Error: Not available at the moment. No API answers at")


@pytest.mark.parametrize(
    ("words", "what", "wanted"),
    [
        ("worker", "A worker", "worker"),
        ("api", "The API", "server"),
        ("up", "The embedded stack", "server,embedded"),
        ("demo", "The embedded stack", "server,embedded"),
        *((words, "This command", "worker") for words in ("token list", "agents list", "migrate", "deploy status")),
        *((words, "A flow", "flows") for words in ("flow validate x.yaml", "flow schema")),
        *((words, "This command", "worker") for words in ("validate", "corpus list", "org list")),
    ],
)
def test_a_command_names_the_extra_that_it_needs(base: Installed, words: str, what: str, wanted: str) -> None:
    told = base.run("pavo", *words.split(), code=2)
    assert told.startswith(f"Error: Something is not installed. {what} needs ")
    assert "\n  → Install it: pip install 'pavo-temporal[" + wanted + "]'.\n" in told


def test_the_doctor_shows_the_extras_of_what_is_missing(base: Installed) -> None:
    told = base.run("pavo", "doctor", code=1)
    assert told.count("'pavo-temporal[server,embedded]'") == 3 and told.count("'pavo-temporal[server]'") == 1


def test_the_base_walks_a_task_to_its_report(base: Installed, stack: str) -> None:
    """Every command of a client, against an API and a worker that are elsewhere."""
    given = {"PAVO_URL": stack, "PAVO_USER": "base@example.com"}
    fast = ["--option", "steps=12", "--option", "step_seconds=0.01"]

    def pavo(*words: str, code: int = 0) -> str:
        return base.run("pavo", *words, code=code, **given)

    told = pavo("run", "Wait for me", *fast)
    line = next(line for line in told.splitlines() if "pavo task accept" in line)
    words = line[line.index("task accept") :].split()
    task = words[2]
    pavo("task", "feedback", task, "And be short", "--step", "2")
    pavo("task", "feedback", task, "In time", "--done")
    pavo("task", "watch", task)
    assert "Plan v2" in pavo("task", "plan", task)
    assert "Done: 12 checkpoints recorded" in pavo("run", "Analyze churn drivers", "--accept", *fast)
    pavo("task", "stop", task)
    assert "STOPPED" in pavo("task", "show", task)
    pavo("task", "resume", task)
    assert task in pavo("task", "list", "-o", "json")
    pavo("task", "delete", task, "--yes")
    pavo("task", "show", task, code=3)
