"""Makes clients of the API's description with other people's generators, and runs a program with each.

    python tools/generated_clients.py                  # all of them
    python tools/generated_clients.py typescript       # or one: typescript, python-client, datamodel

Needed: npm and Node 20 for the first, and a package index. What is installed stays in build/generated-clients.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pavo import config
from pavo.api import create_app

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "tools" / "clients"
WORK = ROOT / "build" / "generated-clients"
NPM: Final = ("openapi-typescript@7.13.0", "typescript@5.9.3", "@types/node@20.19.25")
"""openapi-typescript takes no later TypeScript than 5."""
PYPI: Final = ("openapi-python-client==0.29.1", "datamodel-code-generator==0.89.0")
INSTALL_SECONDS: Final = 60
TSC: Final = (
    "--strict",
    "--target",
    "es2022",
    "--lib",
    "es2022",
    "--module",
    "commonjs",
    "--types",
    "node",
    "--skipLibCheck",
)


class NotToBeHad(Exception):
    """A generator cannot be installed here."""


def description() -> dict[str, Any]:
    """What the API of this checkout shows under /openapi.json."""
    return create_app(config.Settings()).openapi()


def example(schema: dict[str, Any], schemas: dict[str, Any], *, optional: bool) -> Any:
    """A value that a schema of the description takes, with or without the members that need not be there."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas, optional=optional)
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    kind = schema.get("type") or schema.get("anyOf", [{"type": "string"}])[0]["type"]  # else any value
    if kind == "object":
        members = schema.get("properties", {}).items()
        wanted = [(name, each) for name, each in members if optional or name in schema["required"]]
        return {name: example(each, schemas, optional=optional) for name, each in wanted}
    if kind == "array":
        return [example(schema["items"], schemas, optional=optional)]
    texts = {"date-time": "2026-11-26T08:00:00.000000Z", "uuid": "01a2173b-573b-7f0c-85a7-d90b1be73ef7"}
    return {"integer": 1, "boolean": True, "string": texts.get(schema.get("format", ""), "x")}[kind]


def pages(described: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Two pages, of a task and of a job: each event that is described twice and one that is not, and what a program
    should tell of them."""
    schemas, found, told = described["components"]["schemas"], list[dict[str, Any]](), list[str]()
    for known, other in (("PavoEvent", "AgentEvent"), ("KnownJobEvent", "LaterJobEvent")):
        events = [example(each, schemas, optional=more) for each in schemas[known]["oneOf"] for more in (False, True)]
        told += [f"{known} {event['type']}" for event in events]
        events.append({"seq": 1, "type": "word", "at": events[0]["at"], "step": "any", "n": [1]})
        told.append(f"{other} word")
        found.append({"items": events, "last_seq": len(events), "closed": False})
    return found, told


def run(*command: str | Path, folder: Path = WORK, text: str = "") -> str:
    """What a program prints.

    Raises:
        SystemExit: it failed.
    """
    environment = {**os.environ, "PATH": f"{WORK / 'venv' / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    words = [str(each) for each in command]
    done = subprocess.run(words, cwd=folder, env=environment, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def install(program: Path, *commands: Sequence[str]) -> None:
    """Install what brings a program, unless it is there.

    Raises:
        NotToBeHad: that is not possible here.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    for command in [] if program.exists() else commands:
        if shutil.which(command[0]) is None:
            raise NotToBeHad(f"there is no {command[0]} here")
        try:
            subprocess.run(command, cwd=WORK, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            raise NotToBeHad(f"{' '.join(command)}: {error}") from error


def _install_python() -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(WORK / "venv" / "bin" / "python")
    install(
        WORK / "venv" / "bin" / "openapi-python-client",
        (uv, "venv", "--quiet", "--python", sys.executable, "venv"),
        (uv, "pip", "install", "--quiet", "--python", python, *PYPI),
    )


def _fresh(name: str, described: dict[str, Any]) -> Path:
    """An empty folder with the description."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "openapi.json").write_text(json.dumps(described))
    return folder


def typescript(described: dict[str, Any], text: str) -> str:
    """openapi-typescript, and a program that the compiler holds to every type of event."""
    install(WORK / "node_modules" / ".bin" / "tsc", ("npm", "install", "--no-audit", "--no-fund", "--no-save", *NPM))
    folder, bin_ = _fresh("typescript", described), WORK / "node_modules" / ".bin"
    run(bin_ / "openapi-typescript", "openapi.json", "-o", "api.ts", folder=folder)
    shutil.copy(PROGRAMS / "with_openapi_typescript.ts", folder / "program.ts")
    run(bin_ / "tsc", *TSC, "program.ts", folder=folder)
    return run("node", "program.js", folder=folder, text=text)


def python_client(described: dict[str, Any], text: str) -> str:
    """openapi-python-client."""
    _install_python()
    folder = _fresh("python-client", described)
    run("openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "made", folder=folder)
    program = PROGRAMS / "with_openapi_python_client.py"
    return run(WORK / "venv" / "bin" / "python", program, folder=folder / "made", text=text)


def datamodel(described: dict[str, Any], text: str) -> str:
    """datamodel-code-generator: pydantic's models alone."""
    _install_python()
    folder = _fresh("datamodel", described)
    options = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    run("datamodel-codegen", "--input", "openapi.json", "--output", "models.py", *options, folder=folder)
    program = PROGRAMS / "with_datamodel_code_generator.py"
    return run(WORK / "venv" / "bin" / "python", program, folder=folder, text=text)


CLIENTS: dict[str, Callable[[dict[str, Any], str], str]] = {
    "typescript": typescript,
    "python-client": python_client,
    "datamodel": datamodel,
}


def check(name: str) -> str:
    """Make one of the clients and run its program.

    Raises:
        NotToBeHad: its generator cannot be installed here.
        SystemExit: something failed.
    """
    described = description()
    given, expected = pages(described)
    told = CLIENTS[name](described, json.dumps(given)).splitlines()
    if told != expected:
        raise SystemExit(f"{name} tells the events as {told}, not {expected}.")
    return f"{name}: {len(told)} events told apart"


if __name__ == "__main__":
    for wanted in sys.argv[1:] or CLIENTS:
        print(check(wanted))
