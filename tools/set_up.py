"""Set up .venv: what requirements.lock pins, each file checked against its hash, and this checkout itself.

Run by `make setup` with any Python from 3.11 on; the standard library is all that it needs. It tells what it does and
is never silent for more than a few seconds. Certificates are those that the machine itself trusts, so that it works
behind a proxy whose certificate is in the system's own store alone.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
PATIENCE_SECONDS = 3.0
"""The longest silence."""
FORMER_NAME = "pavo"
"""Of the distribution. Left beside the new one, it would declare the same agents a second time."""
TRUSTING_PIP = (24, 2)
"""From this version on pip trusts the system's certificates by itself."""


class SetupFailed(Exception):
    """A step did not succeed; it printed why."""


def main() -> int:
    """Set up, or say what did not work; answers the exit code."""
    environment = ROOT / ".venv"
    program = environment / "bin" / "python"
    began = time.monotonic()
    try:
        make_environment(environment, program)
        install_uv(program)
        install_all(environment, program)
    except SetupFailed as error:
        print(f"Set-up failed: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"Set-up is complete after {time.monotonic() - began:.0f} s.", flush=True)
    return 0


def make_environment(environment: Path, program: Path) -> None:
    """A virtual environment with pip; one that an interrupted set-up left without it is made anew."""
    if program.exists() and quietly([program, "-m", "pip", "--version"]):
        return
    run(
        f"Creating {environment.name} with Python {sys.version.split()[0]}",
        [sys.executable, "-m", "venv", "--clear", environment],
        otherwise="Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv",
    )


def install_uv(program: Path) -> None:
    """The uv of the lock, by pip: it installs everything else, some ten times as fast."""
    version, pinned = pinned_uv(LOCK.read_text())
    if quietly([program.with_name("uv"), "--version"]).split()[1:2] == [version]:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned)
        file.flush()
        command = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(
            f"Installing uv {version}",
            [*command, *certificates(program), "--require-hashes", "-r", file.name],
            otherwise="uv could not be installed; the lines above say why",
        )


def install_all(environment: Path, program: Path) -> None:
    """The packages of the lock, and this checkout, which stays editable."""
    uv = [program.with_name("uv"), "pip"]
    own = {"UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "1")}
    if any(environment.glob(f"lib/python*/site-packages/{FORMER_NAME}-*.dist-info")):
        run("Removing the installation under the former name", [*uv, "uninstall", "-q", "-p", program, FORMER_NAME])
    run(
        f"Installing the packages of {LOCK.name}, up to {len(names(LOCK.read_text()))}, and checking their hashes",
        [*uv, "install", "-q", "--compile-bytecode", "-p", program, "--require-hashes", "-r", LOCK],
        own,
    )
    run(
        "Installing Pavo itself, editable",
        [*uv, "install", "-q", "-p", program, "--no-deps", "--no-build-isolation", "--editable", ROOT],
        own,
    )


def names(lock: str) -> list[str]:
    """The distributions that a lock pins."""
    return re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)


def pinned_uv(lock: str) -> tuple[str, str]:
    """The version of uv in a lock, and its lines there, with their hashes."""
    found = re.search(r"^uv==([\w.]+)(?: *\\\n +--hash=\S+)+$", lock, re.MULTILINE)
    if found is None:
        raise SetupFailed(f"{LOCK.name} pins no uv with hashes; renew it with: make lock")
    return found[1], found[0] + "\n"


def certificates(program: Path) -> list[str]:
    """Options by which an older pip, too, trusts what the system trusts; none where somebody has configured it."""
    asked = "import pip, ssl; paths = ssl.get_default_verify_paths(); "
    asked += "print(pip.__version__, paths.cafile or paths.capath or '', sep='\\n')"
    version, _, store = quietly([program, "-c", asked]).strip().partition("\n")
    newer = [int(number) for number in re.findall(r"\d+", version)[:2]] >= list(TRUSTING_PIP)
    if newer or not store or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return []
    configured = re.search(r"\bcert=", quietly([program, "-m", "pip", "config", "list"]))
    return [] if configured else ["--cert", store]


def quietly(command: Sequence[str | Path]) -> str:
    """What a program prints; nothing when it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def run(what: str, command: Sequence[str | Path], extra: Mapping[str, str] | None = None, otherwise: str = "") -> None:
    """Run one step; tells when it begins, and again and again while it lasts.

    Raises:
        SetupFailed: it ended with another exit code than 0.
    """
    print(f"{what} ...", flush=True)
    began = time.monotonic()
    with subprocess.Popen(command, env={**os.environ, **(extra or {})}) as process:
        while True:
            try:
                code = process.wait(PATIENCE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"  ... {time.monotonic() - began:.0f} s", flush=True)
    if code:
        raise SetupFailed(otherwise or f"{what}: exit code {code}; the lines above say why")


if __name__ == "__main__":
    sys.exit(main())
