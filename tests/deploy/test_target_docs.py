"""The pages on Docker Compose and Kubernetes name what is there."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pavo.cli.main import app
from pavo.deploy.orchestrated.compose import ComposeOptions, render
from pavo.deploy.orchestrated.kubernetes import CHART

COMPOSE, KUBERNETES = "deployment-compose.md", "deployment-kubernetes.md"


def text(root: Path, name: str) -> str:
    return (root / "docs" / name).read_text()


@pytest.mark.parametrize("name", [COMPOSE, KUBERNETES])
def test_links_and_places_exist(root: Path, name: str) -> None:
    page = text(root, name)
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (root / "docs" / link).exists(), link
    for path in re.findall(r"`((?:tests|src|docs|tools)/[\w./-]+)`", page):
        assert (root / path).exists(), path


def test_services_and_files_are_those_that_are_written(root: Path) -> None:
    page, files = text(root, COMPOSE), render(ComposeOptions())
    services = yaml.safe_load(files["compose.yaml"])["services"]
    named = [
        word
        for verb in re.findall(
            r"docker compose (?:exec(?: -T| --env \S+)?|run --rm|logs|stop) ([a-z -]+?)(?: p[gs]_| pavo|`|$|,)",
            page,
            re.M,
        )
        for word in verb.split()
    ]
    assert len(named) >= 10 and set(named) <= set(services), set(named) - set(services)
    starting = page.split("## What starts")[1].split("##")[0]
    rows = [line.split("|")[1] for line in starting.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([\w-]+)`", "".join(rows))) == set(services)
    for database in ("pavo", "temporal", "temporal_visibility"):
        assert f"--format custom {database} " in page and f"--dbname {database} " in page
        assert f"'{database}'" in files["scripts/databases.sql"]


def test_every_value_named_is_one_of_the_chart(root: Path) -> None:
    page = text(root, KUBERNETES)
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    def known(path: str) -> bool:
        found: Any = schema
        for part in path.split("."):
            if found == {"type": "object"}:
                return True  # passed on to Kubernetes as it is
            found = found.get("properties", {}).get(part)
            if found is None:
                return False
        return True

    named = [
        path
        for path in re.findall(r"`((?:[a-zA-Z]+\.)+[a-zA-Z]+)(?::[^`]*)?`", page)
        if path.split(".")[0] in schema["properties"]
    ]
    assert len(named) >= 12
    assert [path for path in named if not known(path)] == []


def test_the_values_shown_are_taken_by_the_schema(root: Path) -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    blocks = re.findall(r"```yaml\n(.+?)```", text(root, KUBERNETES), re.S)
    assert len(blocks) == 5
    for block in blocks:
        jsonschema.validate(yaml.safe_load(block), schema)


@pytest.mark.parametrize("name", [COMPOSE, KUBERNETES])
def test_pavos_commands_exist(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is asked for its help, which has every option that is shown with it."""
    pattern = r"(?:^\$ |-- | api |`)pavo ((?:deploy |token )?[a-z]+)((?: --[a-z-]+(?: [\w.]+)?)*)"
    wanted: dict[str, set[str]] = {}
    for words, options in re.findall(pattern, text(root, name), re.M):
        wanted.setdefault(words, set()).update(re.findall(r"--[a-z-]+", options))
    assert len(wanted) >= 5 and any(wanted.values())
    for words, options in wanted.items():
        with pytest.raises(SystemExit) as ended:
            app([*words.split(), "--help"])
        said = capsys.readouterr().out
        assert not ended.value.code and "Usage" in said, words
        assert [option for option in options if option not in said] == [], words
