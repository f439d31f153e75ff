"""Make sure that a real forge is there for the tests: Gitea, built by Go from its module, once (some minutes).

It lies in the cache then, some 125 MB. Without Go and a C compiler, or where a module cannot be had, it says so and
ends well: the tests are skipped with that reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson
from pydantic import BaseModel, TypeAdapter
from tools.cached import ensure, new_folder, place

VERSION: Final = "1.26.0"
MODULE: Final = "code.gitea.io/gitea"
CACHE: Final = place(f"gitea-{VERSION}-1")
STATIC: Final = ("options", "templates")
"""Folders of the module that Gitea reads as it runs."""
_SECONDS: Final = 1800
_TAGS: Final = "sqlite sqlite_unlock_notify"
_MAIN: Final = f"""package main

import (
	"os"

	"{MODULE}/cmd"
	"{MODULE}/modules/log"
	"{MODULE}/modules/setting"
)

func main() {{
	setting.AppVer = "{VERSION}"
	app := cmd.NewMainApp(cmd.AppVersion{{Version: "{VERSION}"}})
	_ = cmd.RunMainApp(app, os.Args...)
	log.GetManager().Close()
}}
"""


class _Download(BaseModel):
    """What `go mod download -json` says of a module."""

    Dir: Path
    GoMod: Path
    Sum: str
    GoModSum: str


def program(folder: Path = CACHE) -> Path | None:
    """Gitea's program, beside the folders that it reads; None: it is not there."""
    found = folder / "gitea"
    return found if found.is_file() else None


def build() -> None:
    """Build it into the cache.

    A program with replaced modules cannot be installed by its name: a module of our own stands in its place, with the
    same requirements and replacements, so that exactly what its authors chose is built.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be built.
    """
    go = shutil.which("go")
    if go is None or not (shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")):
        raise OSError("Go and a C compiler are needed to build it")
    with new_folder(CACHE) as new:
        source = new / "source"
        source.mkdir()
        told = _go([go, "mod", "download", "-json", f"{MODULE}@v{VERSION}"], source)
        module = TypeAdapter(_Download).validate_python(orjson.loads(told))
        _write_module(module, source)
        words = ["-trimpath", "-tags", _TAGS, "-ldflags", "-s -w", "-o", str(new / "gitea")]
        print(f"Building Gitea {VERSION} with Go, once; this takes some minutes.", flush=True)
        _go([go, "build", *words, "."], source)
        for each in STATIC:
            shutil.copytree(module.Dir / each, new / each, copy_function=shutil.copyfile)
            for folder, _, _ in os.walk(new / each):
                Path(folder).chmod(0o755)  # those of a module cannot be removed
        shutil.rmtree(source)


def _write_module(module: _Download, folder: Path) -> None:
    own = f"require {MODULE} v{VERSION}\n"
    lines = module.GoMod.read_text().replace(f"module {MODULE}\n", f"module pavo.test/forge\n\n{own}", 1)
    (folder / "go.mod").write_text(lines)
    sums = f"{MODULE} v{VERSION} {module.Sum}\n{MODULE} v{VERSION}/go.mod {module.GoModSum}\n"
    (folder / "go.sum").write_text((module.Dir / "go.sum").read_text() + sums)
    (folder / "main.go").write_text(_MAIN)


def _go(words: list[str], folder: Path) -> str:
    environment = os.environ | {"CGO_ENABLED": "1", "GOWORK": "off", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading")]
        raise OSError(f"{' '.join(words[:3])}: {' '.join(errors)[-600:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(ensure("Gitea", program, build))
