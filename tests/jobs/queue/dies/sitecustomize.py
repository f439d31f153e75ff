"""Brought into a worker's process by PYTHONPATH: it dies, or halts, between a claim's commit and its answer."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from pavo.jobs.queue.activities import QueueRecorder
from pavo.jobs.sql.claims import Claim

FLAG = Path(os.environ.get("PAVO_TEST_AT_CLAIM", "/nonexistent"))
"""`die`: whoever claims first removes it and dies; `halt`: whoever claims waits until it is gone."""
_take: Any = QueueRecorder._take  # pyright: ignore[reportPrivateUsage]


async def take(self: QueueRecorder, organisation_id: Any) -> Any:
    """Claim, as ever; then what the file says."""
    found = await _take(self, organisation_id)
    if isinstance(found, Claim) and FLAG.exists():
        if FLAG.read_text() == "die":
            FLAG.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while FLAG.exists():
            await asyncio.sleep(0.05)
    return found


QueueRecorder._take = take  # type: ignore[method-assign] # pyright: ignore[reportPrivateUsage]
