"""Pavo on the native target: Temporal's own server on PostgreSQL instead of the development server on SQLite."""

from typing import ClassVar

from bench.arms.pavo import Pavo
from bench.proc import free_port, script, until
from pavo.deploy.local.components.temporal_programs import SERVER, cache_folder
from pavo.deploy.model.compatibility import matrix


def absent() -> str | None:
    """Why this arm cannot run, or None."""
    version = matrix().pins.temporal
    if (cache_folder() / "temporal" / version / SERVER).exists():
        return None
    return f"Temporal's server {version} is not built: python tools/build_temporal.py (needs Go)"


class Native(Pavo):
    """As `pavo deploy start --target native` runs it, with one worker and the wheel's PostgreSQL."""

    name: ClassVar[str] = "native"
    title: ClassVar[str] = "Pavo on the native target"

    async def start(self) -> None:
        data = str(self.group.folder / "data")
        words = ["deploy", "start", "--target", "native", "--foreground", "--auto-approve", "--no-temporal-ui"]
        options = ["--port", str(free_port()), "--workers", str(self.workers), "--data-dir", data]
        pid = self.group.start([script("pavo"), *words, *options], log="native", grace=40)
        await until(lambda: self._ready(data), seconds=60, what="pavo deploy start", logs=self.group)
        self._pids = [pid]
        await self.warm_up()
