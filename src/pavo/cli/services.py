"""Which services a command works on: those of a stack, or those that the environment names."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from temporalio.runtime import Runtime, TelemetryConfig

from pavo import config
from pavo.config import Settings
from pavo.deploy.model import state
from pavo.deploy.model.state import StackState
from pavo.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Found:
    """Settings that reach the services, and the stack that they belong to, if it is one of ours."""

    settings: Settings
    stack: StackState | None


def find(data_dir: Path | None) -> Found:
    """The stack of the data directory if one is named, else the environment's services, else the default stack's.

    Raises:
        ConfigurationError: there is none of them, or a variable is wrong.
    """
    _keep_output_clean()
    named = os.environ.get("DATABASE_URL") or os.environ.get("TEMPORAL_ADDRESS") or os.environ.get("TEMPORAL_TARGET")
    if data_dir is None and named:
        return Found(config.load(), None)
    stack = state.running(data_dir)
    if stack is None:
        where = f"on {data_dir}" if data_dir else "here, and neither DATABASE_URL nor TEMPORAL_ADDRESS is set"
        raise ConfigurationError(
            f"No stack runs {where}.",
            field="--data-dir" if data_dir else "DATABASE_URL",
            remedy="Start one with pavo up, or set DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS.",
        )
    return Found(_of_stack(stack), stack)


def _keep_output_clean() -> None:
    """The SDK's core writes its warnings to standard output, where a program reads our JSON; what matters we say."""
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)


def _of_stack(stack: StackState) -> Settings:
    """The environment's settings with the stack's addresses; a shell's other Temporal (Cloud, TLS) stays outside."""
    found, told = config.load(), stack.environment
    temporal: dict[str, Any] = {
        **dict.fromkeys(("api_key", "tls", "tls_ca", "tls_cert", "tls_key")),
        "address": told["TEMPORAL_ADDRESS"],
        "namespace": told["TEMPORAL_NAMESPACE"],
        "task_queue": told["TEMPORAL_TASK_QUEUE"],
        "database_url": told.get("PAVO_TEMPORAL_DATABASE_URL"),
    }
    return found.model_copy(
        update={
            "database": found.database.model_copy(update={"url": told["DATABASE_URL"]}),
            "redis": found.redis.model_copy(update={"url": told["REDIS_URL"]}),
            "temporal": found.temporal.model_copy(update=temporal),
            "http": found.http.model_copy(update={"temporal_ui": stack.urls.temporal_ui}),
        }
    )


def leave(code: int) -> NoReturn:
    """End the process now, with everything printed.

    Temporal's client has threads of its own. One that still tries to reach a server that went away calls into an
    interpreter that is just ending, which aborts the process and its exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
