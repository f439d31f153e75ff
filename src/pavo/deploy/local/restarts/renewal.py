"""Renews a running stack's certificates long before they end, and has the parts take them.

Temporal's server looks at its files by itself, and PostgreSQL takes them at SIGHUP: no connection is cut. The UI and
Pavo's own processes read theirs when they begin, so they are started again, one after the other; workers hand their
tasks on as at every restart. What they show until then is good for months.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pavo.deploy.certificates.kept import Certificates, kept_certificates
from pavo.deploy.local.components.postgres import PostgresServer
from pavo.deploy.local.restarts.one_part import restart_part
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.progress import Say
from pavo.errors import PavoError, Unavailable

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
"""Renewals by hand (`pavo deploy certificates --renew`) are taken within so long."""
LOOKS_BY_THEMSELVES: Final = ("temporal",)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Renewal:
    """Looks after the certificates of one running stack.

    Args:
        postgres: the stack's own server, where it speaks TLS.
    """

    layout: Layout
    certificates: Certificates
    supervisor: Supervisor
    say: Say
    postgres: PostgresServer | None = None
    now: Callable[[], datetime] = _now
    look_seconds: float = LOOK_SECONDS
    _taken: Mapping[str, int] = field(default_factory=dict[str, int])

    async def run(self) -> None:
        """Until cancelled."""
        self._taken = await asyncio.to_thread(self._serials)
        while True:
            await asyncio.sleep(self.look_seconds)
            try:
                await asyncio.to_thread(self.certificates.ensure, self.now())
                await self._hand_out()
            except PavoError as error:
                logger.warning("The certificates cannot be renewed: %s", error.detail)
            except Exception:
                logger.exception("The certificates cannot be renewed; the next look tries again")

    def _serials(self) -> dict[str, int]:
        return {each.name: each.serial for each in kept_certificates(self.layout)}

    async def _hand_out(self) -> None:
        """Have every part take a certificate that is another one than it had."""
        fresh = await asyncio.to_thread(self._serials)
        changed = {name for name, serial in fresh.items() if self._taken.get(name) != serial}
        if not changed:
            return
        self.say(f"Certificates were renewed: {', '.join(sorted(changed))}")
        for part in self.supervisor.states():
            kind = kind_of(part.name).name
            if kind in changed and kind not in LOOKS_BY_THEMSELVES:
                await self._take(part.name, kind)
        self._taken = fresh

    async def _take(self, name: str, kind: str) -> None:
        try:
            if kind == "postgres":
                if self.postgres is not None:
                    await asyncio.to_thread(self.postgres.take_certificate)
                    self.supervisor.signal(name, signal.SIGHUP)
                return
            await restart_part(self.supervisor, name)
        except Unavailable as error:  # it died just now, and begins with the new one
            logger.info("%s is not asked to take its certificate: %s", name, error.detail)
