"""The environment in which git runs: of the machine's and the user's configuration nothing, of ours everything.

Configuration is handed over in variables, which override every file: a repository's own configuration, which a coding
program may have changed, runs nothing and sends nothing elsewhere.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LOW_SPEED_BYTES: Final = 1_000
"""A second; who is slower for `LOW_SPEED_SECONDS` is given up."""
LOW_SPEED_SECONDS: Final = 60
_PASSED: Final = frozenset(
    (
        "PATH",
        "TMPDIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "GIT_EXEC_PATH",
    )
)
"""Of the agent's own environment: how servers are reached, and where git is."""
_CONFIGURATION: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.autocrlf": "false",
    "core.pager": "cat",
    "core.editor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "credential.helper": "",
    "credential.useHttpPath": "false",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "push.recurseSubmodules": "no",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "submodule.recurse": "false",
    "diff.ignoreSubmodules": "all",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "http.sslVerify": "true",
    "http.followRedirects": "initial",
    "safe.directory": "*",
    "advice.detachedHead": "false",
}
_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]+@")


def environment(home: Path, *, files: bool = False, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that git sees of the world.

    Args:
        home: an empty folder.
        files: whether `file://` may be fetched from; for tests.
        more: configuration on top.
    """
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    found |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:file" if files else "http:https",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_HTTP_LOW_SPEED_LIMIT": str(LOW_SPEED_BYTES),
        "GIT_HTTP_LOW_SPEED_TIME": str(LOW_SPEED_SECONDS),
    }
    settings = {**_CONFIGURATION, **({"protocol.file.allow": "always"} if files else {})}
    pairs = [*settings.items(), *(more or {}).items()]
    found["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (name, value) in enumerate(pairs):
        found[f"GIT_CONFIG_KEY_{number}"], found[f"GIT_CONFIG_VALUE_{number}"] = name, value
    return found


def without_secrets(text: str) -> str:
    """A line of git's, without user and password in URLs."""
    return _IN_URL.sub("***@", text)
