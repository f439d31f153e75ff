"""What `make release` makes, and that its checks find what is wrong; the target also tries the wheel elsewhere."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tools.release import Project

import pavo
from tools import release

FILES = release.committed()
OF = release.project()
MATRIX = next(name for name in FILES if name.endswith("/compatibility.toml"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("release")
    sdist, wheel = release.build(folder)
    return {"sdist": sdist, "wheel": wheel, "chart": release.pack_chart(FILES, OF, folder)}


def faults(kind: str, archive: Path, files: dict[str, bytes] = FILES, of: Project = OF) -> list[str]:
    return getattr(release, f"faults_of_{kind}")(archive, files, of)


@pytest.mark.parametrize("kind", ["sdist", "wheel", "chart"])
def test_each_holds_exactly_what_is_committed_for_it(made: dict[str, Path], kind: str) -> None:
    assert faults(kind, made[kind]) == []


@pytest.mark.parametrize("kind", ["sdist", "wheel", "chart"])
def test_what_is_lacking_too_much_or_another_one_is_found(made: dict[str, Path], kind: str) -> None:
    folder = release.chart_folder(FILES)
    changed = f"{folder}values.yaml"
    more = {**FILES, f"{folder}templates/new.yaml": b"", changed: b"other"}
    del more[f"{folder}templates/api.yaml"]
    found = "\n".join(faults(kind, made[kind], more))
    assert "lacks" in found and "templates/new.yaml" in found
    assert "templates/api.yaml, which is not committed" in found
    assert "values.yaml is another one" in found


@pytest.mark.parametrize("kind", ["sdist", "wheel", "chart"])
def test_another_version_is_found(made: dict[str, Path], kind: str) -> None:
    assert any("99.0" in fault for fault in faults(kind, made[kind], of=replace(OF, version="99.0")))


@pytest.mark.parametrize(
    "name",
    [
        "pavo/tests/test_x.py",
        "pavo/__pycache__/api.cpython-311.pyc",
        "pavo/ui/node_modules/x.js",
        "pavo/.env",
        "pavo/x.swp",
        "tests/x.py",
    ],
)
def test_some_files_are_refused_even_where_they_are_committed(name: str) -> None:
    held = {name: b"", "pavo/agents/contract.py": b"", "pavo/deploy/validation/tested.py": b""}
    assert release.differences("it", held, held) == [f"it must not hold {name}"]


@pytest.mark.parametrize("name", ["src/pavo/py.typed", "migrations/versions/0001_initial_schema.py", MATRIX])
def test_a_wheel_needs_some_files_whatever_is_committed(tmp_path: Path, name: str) -> None:
    files = {own: data for own, data in FILES.items() if own != name}
    wheel = tmp_path / "pavo.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for own, data in release.wanted_in_wheel(files).items():
            archive.writestr(own, data)
    found = faults("wheel", wheel, files)
    assert any("without which it is of no use" in fault and Path(name).name in fault for fault in found)
    assert any("lacks the licence" in fault for fault in found)
    assert any("has no command pavo" in fault for fault in found)
    assert any("Name is None" in fault for fault in found)


def test_the_chart_is_the_same_bytes_each_time_and_helm_reads_it(made: dict[str, Path], tmp_path: Path) -> None:
    again = release.pack_chart(FILES, OF, tmp_path)
    assert again.read_bytes() == made["chart"].read_bytes()
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("There is no wheel of Helm's library for this machine.")
    code = (
        "import helm_python, json, pathlib, sys\n"
        "print(json.dumps(helm_python.Chart.load_archive(pathlib.Path(sys.argv[1]).read_bytes()).version))"
    )
    said = subprocess.run([sys.executable, "-c", code, again], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == OF.version


def test_sums_are_read_by_sha256sum(made: dict[str, Path]) -> None:
    sums = release.check_sums(list(made.values()))
    lines = dict(reversed(line.split("  ")) for line in sums.read_text().splitlines())
    assert lines == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in made.values()}


def test_one_version_everywhere(root: Path) -> None:
    chart = yaml.safe_load(FILES[f"{release.chart_folder(FILES)}Chart.yaml"])
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert {pavo.__version__, chart["version"], chart["appVersion"]} == {declared}


def test_what_is_not_committed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("## [1.0.0]\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n')
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    with pytest.raises(release.ReleaseRefused, match=r"pyproject\.toml"):
        release.release(tmp_path / "dist", dirty=False)
    assert not (tmp_path / "dist").exists()
