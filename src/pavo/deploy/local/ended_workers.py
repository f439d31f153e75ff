"""Writes down how workers ended, before others go on with their tasks: these judge by it who is to blame."""

import logging
import signal
import time

from pavo.deploy.local.machine.part_process import PartProcess
from pavo.deploy.model.layout import Layout, write_private
from pavo.kit.processes import kills_for_memory
from pavo.runs import worker_ends

logger = logging.getLogger(__name__)


class EndedWorkers:
    """The file of one stack; only its supervisor writes it."""

    def __init__(self, layout: Layout) -> None:
        self._place = layout.worker_ends
        worker_ends.forget_asked(self._place)
        self._kills: dict[str, int] = {}
        """By part: what `kills_for_memory` told when its process began."""

    def began(self, part: str) -> None:
        """A worker begins."""
        self._kills[part] = kills_for_memory()

    def ended(self, part: str, child: PartProcess, code: int) -> None:
        """A worker has ended; what cannot be written is not known, and counts against nobody."""
        out_of_memory = code == -signal.SIGKILL and kills_for_memory() > self._kills.get(part, 0)
        known = worker_ends.read_ends(self._place)
        asked = worker_ends.was_asked(self._place, child.pid)
        text = worker_ends.with_end(
            known, part, child.pid, code, out_of_memory=out_of_memory, at=time.time(), asked=asked
        )
        try:
            write_private(self._place, text)
        except OSError as error:
            logger.warning("The end of %s cannot be written down: %s", part, error)
