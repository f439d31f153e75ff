"""The file that names MCP servers: wrong ones are refused, by the name of what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from pavo.errors import ConfigurationError
from pavo.tools.mcp.servers_file import read_servers


def written(folder: Path, document: Any) -> Path:
    path = folder / "mcp.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_it_is_read(tmp_path: Path) -> None:
    servers = {
        "git": {"command": "mcp-server-git", "args": ["-r", "${REPO}"], "effects": {"git_log": "read", "*": "unsafe"}},
        "issues": {"type": "http", "url": "https://issues.example.com/mcp", "headers": {"Authorization": "B ${TOKEN}"}},
        "off": {"command": "x", "disabled": True},
    }
    path = written(tmp_path, {"mcpServers": servers, "other": 1})
    git, issues = read_servers(path, {"REPO": "/srv/it", "TOKEN": "t"})
    assert (git.name, git.args, issues.headers) == ("git", ("-r", "/srv/it"), {"Authorization": "B t"})
    hints = {"read_only": True, "idempotent": True}
    assert [git.effect_of(name, **hints) for name in ("git_log", "git_commit")] == ["read", "unsafe"]
    assert issues.effect_of("x", **hints) == "unsafe"
    trusting = issues.model_copy(update={"annotations": "trusted"})
    assert trusting.effect_of("x", **hints) == "read"
    assert trusting.effect_of("x", read_only=False, idempotent=True) == "idempotent"
    assert trusting.effect_of("x", read_only=None, idempotent=None) == "unsafe"


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ({"a": {}}, "either a command or a url"),
        ({"a": {"command": "x", "url": "https://x.example"}}, "either a command or a url"),
        ({"a": {"url": "file:///etc"}}, "mcpServers.a.url"),
        ({"a": {"command": "x", "headers": {"A": "b"}}}, "headers has no meaning for a command"),
        ({"a": {"url": "https://x.example", "env": {}}}, "env has no meaning for a url"),
        ({"a": {"command": "x", "type": "http"}}, "the type is http"),
        ({"a": {"command": "x", "effects": {"*": "safe"}}}, "mcpServers.a.effects.*"),
        ({"a": {"command": "x", "call_seconds": 0}}, "mcpServers.a.call_seconds"),
        ({"a": {"command": "x", "Args": []}}, "mcpServers.a.Args"),
        ({"a": {"command": "x", "name": "b"}}, "mcpServers.a.name"),
        ({"a": {"command": "x", "env": {"T": "${NOT_THERE}"}}}, "mcpServers.a.env.T: the environment has no"),
        ({"a": {"command": "x", "env": {"T": "${DATABASE_URL}"}}}, "is Pavo's own"),
        ({"A b": {"command": "x"}}, "name it with at most 20"),
        ({"a__b": {"command": "x"}}, "name it with at most 20"),
        ({"a": 5}, "mcpServers.a"),
        ({f"a{n}": {"command": "x"} for n in range(101)}, "100 at most"),
        ([], "no object mcpServers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, servers: Any, told: str) -> None:
    path = written(tmp_path, {"mcpServers": servers})
    with pytest.raises(ConfigurationError) as wrong:
        read_servers(path, {"DATABASE_URL": "x"})
    assert told in wrong.value.detail and str(path) in wrong.value.detail and wrong.value.field == "PAVO_MCP_CONFIG"


@pytest.mark.parametrize(("text", "told"), [("{", "no JSON"), ("[]", "no object"), ("x" * 1_000_001, "more than")])
def test_a_file_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_servers(written(tmp_path, text), {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_servers(tmp_path / "none.json", {})
