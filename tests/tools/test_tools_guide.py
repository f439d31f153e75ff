"""`docs/guides/tools.md`: its tools, its agent and its test are run as they stand."""

import re
from pathlib import Path

from pavo.tools.mcp.servers_file import read_servers
from tests.guides import run_files


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files("tools", ["billing.py", "shipping.py", "test_billing.py"], tmp_path)


def test_the_file_of_mcp_servers_that_it_shows_is_one(root: Path, tmp_path: Path) -> None:
    [(name, text)] = re.findall(
        r'^```json title="([^"]+)"\n(.*?)^```$', (root / "docs/guides/tools.md").read_text(), re.M | re.S
    )
    (tmp_path / name).write_text(text)
    git, issues = read_servers(tmp_path / name, {"ISSUES_TOKEN": "t"})
    offered = {tool: git.offers(tool) for tool in ("git_status", "git_commit", "git_diff_staged")}
    assert offered == {"git_status": True, "git_commit": False, "git_diff_staged": True}
    effects = [git.effect_of(tool, read_only=None, idempotent=None) for tool in ("git_diff_staged", "git_add")]
    assert effects == ["read", "unsafe"] and issues.headers == {"Authorization": "Bearer t"}
