"""Make a release from what is committed: wheel, source distribution and Helm chart, checked, and the wheel tried.

    make release                # into dist
    make release ARGS=--dirty   # also with what is not committed, to try this itself

Each file must hold exactly what is committed for it. The wheel is installed in an empty environment outside of the
checkout, where `pavo demo` has to succeed.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("server", "embedded")
"""With which the wheel is tried: they are what `pavo demo` needs."""
DEMO_SECONDS = 300
NEEDED = (
    "pavo/py.typed",
    "pavo/migrations/env.py",
    "pavo/migrations/script.py.mako",
    "pavo/migrations/versions/0001_initial_schema.py",
    "pavo/ui/static/index.html",
    "*/compatibility.toml",
    "*/compose/compose.yaml",
    "*/charts/pavo/Chart.yaml",
    "*/charts/pavo/values.schema.json",
    "*/charts/pavo/templates/worker.yaml",
    "*/dashboards/pavo.json",
    "*/dashboards/alerts.yaml",
)
"""What a wheel without which would be of no use, whatever is committed; `*/` is any folder."""
UNWANTED = re.compile(
    r"(^|/)(tests?|__pycache__|node_modules|\.venv[^/]*|\.git)/|\.(pyc|pyo|swp|orig|env)$|(^|/)\.env$"
)
"""What has no place in a release, even where somebody committed it."""
BESIDE = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", ".gitignore"}
"""Files at the top that the source distribution has beside src/ and migrations/; hatchling adds .gitignore."""


@dataclass(frozen=True, slots=True)
class Project:
    """What pyproject.toml says."""

    name: str
    version: str
    python: str

    @property
    def stem(self) -> str:
        """How names of files begin: PEP 503, with underscores."""
        return f"{re.sub(r'[-_.]+', '_', self.name).lower()}-{self.version}"


class ReleaseRefused(Exception):
    """What keeps this from being a release, a line each."""


def project() -> Project:
    """Name, version and the Python that it needs."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Project(found["name"], found["version"], found["requires-python"])


def committed() -> dict[str, bytes]:
    """Every file that git knows or would take, by its path."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return {name: (ROOT / name).read_bytes() for name in listed.split("\0") if name and (ROOT / name).is_file()}


def wanted_in_wheel(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the wheel must hold beside its own description."""
    package = {name.removeprefix("src/"): data for name, data in files.items() if name.startswith("src/pavo/")}
    return {**package, **{f"pavo/{name}": data for name, data in files.items() if name.startswith("migrations/")}}


def wanted_in_sdist(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the source distribution must hold beside PKG-INFO."""
    return {name: data for name, data in files.items() if name in BESIDE or name.startswith(("src/", "migrations/"))}


def chart_folder(files: Iterable[str]) -> str:
    """The chart's folder in the repository, with a slash at its end."""
    return next(name for name in files if name.endswith("/charts/pavo/Chart.yaml")).removesuffix("Chart.yaml")


def wanted_in_chart(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the chart must hold."""
    folder = chart_folder(files)
    return {f"pavo/{name.removeprefix(folder)}": data for name, data in files.items() if name.startswith(folder)}


def differences(what: str, held: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """How an archive differs from what it must hold, a line each."""
    found = [f"{what} lacks {name}" for name in sorted(wanted.keys() - held.keys())]
    found += [f"{what} holds {name}, which is not committed" for name in sorted(held.keys() - wanted.keys())]
    found += [f"{what}: {name} is another one" for name in sorted(wanted.keys() & held) if held[name] != wanted[name]]
    return found + [f"{what} must not hold {name}" for name in sorted(held) if UNWANTED.search(name)]


def faults_of_wheel(wheel: Path, files: Mapping[str, bytes], of: Project) -> list[str]:
    """What is wrong with a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    own = f"{of.stem}.dist-info/"
    described = {name.removeprefix(own): data for name, data in held.items() if name.startswith(own)}
    rest = {name: data for name, data in held.items() if not name.startswith(own)}
    found = differences(wheel.name, rest, wanted_in_wheel(files))
    for path in NEEDED:
        if path not in rest and not (path.startswith("*") and any(name.endswith(path[1:]) for name in rest)):
            found.append(f"{wheel.name} lacks {path}, without which it is of no use")
    if described.get("licenses/LICENSE") != files["LICENSE"]:
        found.append(f"{wheel.name} lacks the licence")
    if b"pavo=pavo.cli.main:main" not in described.get("entry_points.txt", b"").replace(b" ", b""):
        found.append(f"{wheel.name} has no command pavo")
    return found + _faults_of_description(wheel.name, described.get("METADATA", b""), of)


def faults_of_sdist(sdist: Path, files: Mapping[str, bytes], of: Project) -> list[str]:
    """What is wrong with a source distribution."""
    held = {name.removeprefix(f"{of.stem}/"): data for name, data in _unpacked(sdist).items()}
    description = held.pop("PKG-INFO", b"")
    return [
        *differences(sdist.name, held, wanted_in_sdist(files)),
        *_faults_of_description(sdist.name, description, of),
    ]


def faults_of_chart(chart: Path, files: Mapping[str, bytes], of: Project) -> list[str]:
    """What is wrong with the chart; its version and that of the application are the project's."""
    held = _unpacked(chart)
    found = differences(chart.name, held, wanted_in_chart(files))
    described = yaml.safe_load(held.get("pavo/Chart.yaml", b"{}"))
    for key in ("version", "appVersion"):
        if described.get(key) != of.version:
            found.append(f"{chart.name}: {key} is {described.get(key)}, not {of.version}")
    return found


def pack_chart(files: Mapping[str, bytes], of: Project, folder: Path) -> Path:
    """The chart as `helm package` makes it, the same bytes each time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(wanted_in_chart(files).items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    chart = folder / f"pavo-{of.version}.tgz"
    chart.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))
    return chart


def build(folder: Path) -> tuple[Path, Path]:
    """Source distribution and, out of it, the wheel; with the build backend that set-up installed."""
    uv = Path(sys.executable).parent / "uv"
    words = [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT]
    subprocess.run(words, check=True)
    (folder / ".gitignore").unlink(missing_ok=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def try_elsewhere(wheel: Path) -> None:
    """Install the wheel in an empty environment outside of the checkout, and run its demonstration there."""
    with tempfile.TemporaryDirectory(prefix="pavo-release-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's own user walks through it
        environment = _outside(folder)
        uv = Path(sys.executable).parent / "uv"
        python = folder / "venv" / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
        lock = ["--constraint", ROOT / "requirements.lock"]
        wanted = f"{wheel.resolve()}[{','.join(EXTRAS)}]"
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *lock, wanted], check=True
        )
        where = _said([python, "-I", "-c", "import pavo; print(pavo.__file__)"], folder, environment)
        if not Path(where).is_relative_to(folder):
            raise ReleaseRefused(f"The environment imports {where}, not the wheel.")
        pavo = folder / "venv" / "bin" / "pavo"
        print(f"Trying {_said([pavo, '--version'], folder, environment)} elsewhere: pavo demo", flush=True)
        subprocess.run([pavo, "demo"], cwd=folder, env=environment, check=True, timeout=DEMO_SECONDS)


def check_sums(files: Sequence[Path]) -> Path:
    """SHA256SUMS beside them, in the form that `sha256sum --check` reads."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    sums = files[0].parent / "SHA256SUMS"
    sums.write_text("".join(lines), encoding="utf-8")
    return sums


def _unpacked(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        members = [member for member in opened if not member.isdir()]
        return {member.name: file.read() for member in members if (file := opened.extractfile(member))}


def _faults_of_description(what: str, description: bytes, of: Project) -> list[str]:
    said = BytesParser().parsebytes(description)
    wanted = {"Name": of.name, "Version": of.version, "Requires-Python": of.python, "License-Expression": "Apache-2.0"}
    return [f"{what}: {key} is {said[key]}, not {value}" for key, value in wanted.items() if said[key] != value]


def _outside(folder: Path) -> dict[str, str]:
    """An environment without anything of this project or of Python's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PAVO_", "PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder)}


def _said(words: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _look_before(of: Project, dirty: bool) -> None:
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    if changed and not dirty:
        raise ReleaseRefused(f"A release is made from what is committed; commit or put aside:\n{changed.rstrip()}")
    if f"## [{of.version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        print(f"CHANGELOG.md has no section for {of.version} yet: what is made is for trying, not for others.")


def release(folder: Path, dirty: bool) -> None:
    """Make everything, check it, try it.

    Raises:
        ReleaseRefused: with everything that is wrong.
    """
    of = project()
    _look_before(of, dirty)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = committed()
    sdist, wheel = build(folder)
    chart = pack_chart(files, of, folder)
    found = [
        *faults_of_sdist(sdist, files, of),
        *faults_of_wheel(wheel, files, of),
        *faults_of_chart(chart, files, of),
    ]
    if found:
        raise ReleaseRefused("\n".join(found))
    try_elsewhere(wheel)
    made = [sdist, wheel, chart]
    for file in (*made, check_sums(made)):
        print(f"{file}  {file.stat().st_size:,} bytes")


def main() -> int:
    """Exit 1 with what is wrong."""
    parser = argparse.ArgumentParser(description="Make a release.")
    parser.add_argument("--dirty", action="store_true", help="also with what is not committed")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where to (it is emptied first)")
    given = parser.parse_args()
    try:
        release(given.out, given.dirty)
    except ReleaseRefused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
