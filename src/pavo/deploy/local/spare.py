"""A spare worker: a process that has imported everything and waits, to take the place of one that dies at once."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from pavo.deploy.local.machine.part_process import Launch, PartProcess, spawn
from pavo.errors import PavoError

logger = logging.getLogger(__name__)


class SpareWorker:
    """At most one process, which is no worker before `take`: it holds no connection and executes nothing.

    Args:
        launch: how workers are started; the same for each that it may replace.
    """

    def __init__(self, launch: Callable[[], Launch]) -> None:
        self._launch = launch
        self._child: PartProcess | None = None
        self._environment: dict[str, str] = {}

    def prepare(self) -> None:
        """Start one unless one waits already. If it cannot be started, dead workers are only replaced more slowly."""
        if self._child is not None and not self._child.exited.done():
            return
        try:
            launch = self._launch()
            self._child, self._environment = spawn(replace(launch, spare=True)), dict(launch.environment)
        except (OSError, PavoError) as error:
            logger.warning("No spare worker can be started: %s", error)

    def take(self, launch: Launch) -> PartProcess | None:
        """Make the spare a worker that logs as `launch` says; None when no spare has got to waiting yet, or the one
        that waits was started with other settings."""
        child, self._child = self._child, None
        if child is None:
            return None
        same = {**launch.environment, "PAVO_REPLACES": ""} == {**self._environment, "PAVO_REPLACES": ""}
        if same and child.waiting.is_set() and not child.exited.done() and child.release(launch):
            return child
        child.kill_group()
        return None

    async def end(self) -> None:
        """Leave none behind."""
        child, self._child = self._child, None
        if child is not None:
            child.kill_group()
            with contextlib.suppress(TimeoutError):
                await child.exited
