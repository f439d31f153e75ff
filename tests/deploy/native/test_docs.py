"""Every command of docs/deployment.md, from top to bottom, as a reader would type them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pavo.cli.deploy.commands import deploy_app, start
from pavo.deploy.local.machine.ports import free_port
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import NEWEST

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = ROOT / "docs" / "deployment.md"


def blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_every_command_works(place: Path) -> None:
    need_temporal(NEWEST)
    lines = [line for block in blocks() for line in block.splitlines()]
    assert len(lines) > 20 and all(line.startswith("pavo ") for line in lines)
    data = place / "data"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PAVO_DATA_DIR": str(data),
        "PAVO_GATEWAY_PORT": str(free_port()),
        "NO_COLOR": "1",
    }
    try:
        for line in lines:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=300,
            )
            assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    finally:
        if (data / "state.json").exists():
            words = [sys.executable, "-m", "pavo.cli.main", "deploy", "destroy", "--auto-approve"]
            subprocess.run(words, env=environment, check=False, capture_output=True)
    assert {left.name for left in data.iterdir()} == {"backups"}, "backups stay, nothing else"


def test_links_places_and_options_are_there() -> None:
    page = PAGE.read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (PAGE.parent / link).exists(), link
    for path in re.findall(r"`((?:tests|src|docs|tools)/[\w./-]+)`", page):
        assert (ROOT / path).exists(), path
    known = {name for argument in deploy_app["start"].assemble_argument_collection() for name in argument.names}
    table = page.split("## Options of `start`")[1].split("##")[0]
    named = set(re.findall(r"`(--[a-z-]+)`", table))
    assert named <= known, named - known
    plain = {name for name in known if name.startswith("--") and not name.startswith(("--no-", "--empty-"))}
    assert plain <= named | {"--values", "--temporal-ui"}, plain - named
    assert start.__doc__
