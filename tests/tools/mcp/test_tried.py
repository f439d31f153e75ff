"""`pavo tools call` with a tool of an MCP server: in this process, over a connection of its own."""

import json
import os
import sys
from pathlib import Path

from tests.command import pavo
from tests.tools.mcp.conftest import BAD


def test_a_tool_of_a_server_is_tried(tmp_path: Path) -> None:
    server = {"command": sys.executable, "args": ["-S", BAD, str(tmp_path), "ok"]}
    broken = {"command": str(tmp_path / "none"), "args": []}
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"bad": server, "gone": broken}}))
    environment = {**os.environ, "PAVO_MCP_CONFIG": str(file)}

    def run(*words: str) -> tuple[int, str, str]:
        done = pavo(["tools", "call", *words], environment)
        return done.returncode, done.stdout, done.stderr

    code, out, error = run("bad__ok", "--arg", "text=hello", "--yes", "-o", "json")
    assert code == 0 and json.loads(out)["tool"] == "bad__ok" and "outside of tasks" in error
    assert (tmp_path / "told").read_text().split().count("ok") == 1
    code, _, error = run("bad__ok", "--arg", "text=hello")
    assert code == 2 and "Pass --yes" in error, "what it does is not known: it runs once somebody says so"
    code, _, error = run("bad__none", "--yes")
    assert code == 3 and "bad__ok" in error, error
    code, _, error = run("gone__x", "--yes")
    assert code == 3 and "gone" in error
    code, _, error = run("other__x", "--yes")
    assert code == 3 and "no tool" in error
    assert (tmp_path / "told").read_text().split().count("ok") == 1
