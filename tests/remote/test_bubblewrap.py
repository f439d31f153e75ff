"""Programs that bubblewrap confines, and what is said where it does not work."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from pavo.remote.composition import available
from pavo.remote.doctor import look
from pavo.remote.processes.contract import Limits
from pavo.remote.processes.running import run
from pavo.remote.programs.profile import Profile
from pavo.remote.programs.sandbox import Reach, Sandboxes, confined, found_here, refusal
from pavo.remote.settings import AgentSettings, GatewayAddress

HERE = found_here()
bubblewrap = pytest.mark.skipif(not HERE.bubblewrap, reason=f"there is no bubblewrap here: {HERE.no_bubblewrap}")
NOTHING = Sandboxes(0, "", "", "no permission")


def reach(tmp_path: Path, *, network: bool = True) -> Reach:
    for name in ("tree", "home", "git"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Reach(str(tmp_path / "tree"), str(tmp_path / "home"), (str(tmp_path / "git"),), network=network)


async def said(tmp_path: Path, script: str, *, network: bool = True) -> tuple[int | None, str, int]:
    """Its exit code, its output, and how many processes it left."""
    lines: list[str] = []

    async def on_line(line: object) -> None:
        lines.append(line.text)  # type: ignore[attr-defined]

    argv = confined("bubblewrap", HERE, ["/bin/sh", "-c", script], reach(tmp_path, network=network))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    ended = await run(argv, cwd=tmp_path / "tree", env=env, limits=Limits(60), on_line=on_line)
    return ended.exit_code, "\n".join(lines), ended.left


@bubblewrap
async def test_it_reaches_its_worktree_and_nothing_of_others(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    outside = subprocess.Popen(["sleep", "60"])
    try:
        script = f"""echo x > here; echo y > $HOME/mine; echo z > {tmp_path}/git/kept; cat {secret}; ls {tmp_path}
        echo w > {tmp_path}/outside; echo v > /etc/pavo-never; mount -o remount,rw /usr; touch /usr/pavo-never
        kill {outside.pid}; ls -d /proc/[0-9]* | wc -l; id -u > /dev/null; echo done"""
        code, text, left = await said(tmp_path, script)
        assert (code, left) == (0, 0) and text.splitlines()[-1] == "done" and "hidden" not in text
        assert outside.poll() is None
    finally:
        outside.kill()
        outside.wait()
    assert (tmp_path / "tree/here").read_text() == "x\n" and (tmp_path / "home/mine").exists()
    assert (tmp_path / "git/kept").exists() and not (tmp_path / "outside").exists()
    assert not Path("/etc/pavo-never").exists() and not Path("/usr/pavo-never").exists()
    processes = next(int(line) for line in text.splitlines() if line.strip().isdecimal())
    assert processes < 10, "those of others are not seen"


@bubblewrap
async def test_its_network_is_taken_away(tmp_path: Path) -> None:
    _, text, _ = await said(tmp_path, "grep -c : /proc/net/dev", network=False)
    assert text == "1"  # the loopback alone


@bubblewrap
async def test_what_escapes_from_it_ends_with_it(tmp_path: Path) -> None:
    script = "setsid sleep 61.25 > /dev/null 2>&1 & (sleep 61.25 &) > /dev/null 2>&1; echo there"
    code, text, left = await said(tmp_path, script)
    assert (code, text, left) == (0, "there", 0)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert b"61.25" not in (process / "cmdline").read_bytes()


def test_what_is_wanted_and_not_there_is_told_with_its_reason() -> None:
    assert refusal("none", NOTHING) == refusal("best", NOTHING) == ""
    assert "no bubblewrap here (no permission)" in refusal("bubblewrap", NOTHING)
    assert "Landlock" in refusal("landlock", NOTHING)
    assert "network" in refusal("none", NOTHING, network=False)
    assert refusal("best", Sandboxes(0, "/bwrap", ""), network=False) == ""
    assert "network" in refusal("landlock", Sandboxes(3, "/bwrap", ""), network=False)


def test_a_bubblewrap_that_may_not_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the machine's owner permits no user namespaces."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    here = found_here()
    assert here.bubblewrap == "" and here.no_bubblewrap == "bwrap: No permissions to create new namespace"
    assert "bubblewrap" not in here.words
    profiles = {
        "safe": Profile(name="safe", command=("sh",), sandbox="bubblewrap"),
        "open": Profile(name="open", command=("sh",)),
    }
    assert available(profiles, here) == ("open",)
    settings = AgentSettings(GatewayAddress("127.0.0.1", 9, secure=False), "t", "one", tmp_path / "state")
    found = {each.name: each for each in look(settings, profiles)}
    assert not found["safe"].ok and "No permissions" in found["safe"].detail and "bubblewrap" in found["safe"].remedy
    assert found["open"].ok and "no bubblewrap: bwrap: No permissions" in found["Confinement"].detail


def test_without_it_it_is_said_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "package bubblewrap" in found_here().no_bubblewrap
