"""What confines isolated agents inside of a container, really: podman and runc, with their own seccomp profile.

The container's file system is this machine's, below a layer that is thrown away, so no image is needed. Run as root:
`apt-get install podman runc`, then this file. Skipped elsewhere.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_other_users import WORKER, is_a_user_of_its_own

from pavo.agents.confinement.landlock import version

PROFILE = Path("/usr/share/containers/seccomp.json")
"""What podman starts containers with; like Docker's and containerd's of since 2022 it allows Landlock."""
IMAGE = (
    "--user",
    "10001:10001",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--read-only",
    "--read-only-tmpfs=false",
)
"""How Pavo's image runs, by Compose and in Kubernetes."""
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("podman", "runc"))) or not PROFILE.exists() or not version(),
    reason="There is no podman with runc here, this is not root, or the kernel has no Landlock.",
)


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "containers.conf"
    limits = '["nofile=4096:4096", "nproc=4096:4096"]'
    own.write_text(f'[engine]\nruntime = "runc"\n[containers]\ndefault_ulimits = {limits}\n')
    monkeypatch.setenv("CONTAINERS_CONF", str(own))


@pytest.fixture
def older_profile(tmp_path: Path) -> Sequence[str]:
    """podman's profile, without Landlock's calls."""
    profile = json.loads(PROFILE.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if not name.startswith("landlock_")]
    place = tmp_path / "seccomp.json"
    place.write_text(json.dumps(profile))
    return "--security-opt", f"seccomp={place}"


async def told(mode: str, *options: str) -> tuple[Mapping[str, Any], str]:
    """What agents of a worker in such a container tell, and its log."""
    repository, packages = Path(__file__).parents[2], sysconfig.get_path("purelib")
    given = {sys.base_prefix: "/opt/python", str(repository): "/opt/repository", packages: "/opt/packages"}
    environment = {
        "PYTHONHOME": "/opt/python",
        "LD_LIBRARY_PATH": "/opt/python/lib",
        "PYTHONPATH": "/opt/repository/src:/opt/repository:/opt/packages",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = ["podman", "run", "--rm", "--network", "none", "--tmpfs", "/tmp:mode=1777,notmpcopyup", *options]
    command += [f"--volume={outside}:{inside}:ro" for outside, inside in given.items()]
    command += [f"--env={name}={value}" for name, value in environment.items()]
    python = f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    command += ["--rootfs", "/:O", python, "-c", WORKER, "/opt/repository/tests/agents", "/tmp", mode, "forked"]
    done = await asyncio.to_thread(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.usefixtures("configured")
async def test_landlock_holds_in_the_image(tmp_path: Path) -> None:
    answer, log = await told("required", *IMAGE)
    assert set(answer["other"]["read"].values()) == set(answer["other"]["written"].values()) == {"PermissionError"}
    assert set(answer["other"]["ids"]) == {10001}
    assert "Isolated agents are confined by Landlock" in log


@pytest.mark.usefixtures("configured")
async def test_as_root_both_hold() -> None:
    answer, log = await told("both")
    assert set(answer["other"]["read"].values()) == set(answer["other"]["written"].values()) == {"PermissionError"}
    assert all(is_a_user_of_its_own(answer[name]) for name in ("first", "again", "other"))
    assert "and a user of each task's own" in log


@pytest.mark.usefixtures("configured")
async def test_where_the_profile_leaves_landlock_out_it_is_told(older_profile: Sequence[str]) -> None:
    answer, log = await told("available", *IMAGE, *older_profile)
    assert "PermissionError" not in answer["other"]["read"].values()
    assert "not confined (this system has no Landlock)" in log
    refused, _ = await told("required", *IMAGE, *older_profile)
    assert "this system has no Landlock" in refused["refused"]


@pytest.mark.usefixtures("configured")
async def test_root_is_other_users_there(older_profile: Sequence[str]) -> None:
    answer, log = await told("required", *older_profile)
    assert is_a_user_of_its_own(answer["other"])
    assert list(answer["other"]["read"].values()).count("PermissionError") == 3  # /tmp is open to all
    assert "confined by a user of each task's own" in log and "(this system has no Landlock)" in log
