"""Starts the parts of a stack in order, watches them, brings back what dies, and ends them in order."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pavo.deploy.local import liveness
from pavo.deploy.local.definition import StackDefinition
from pavo.deploy.local.ended_workers import EndedWorkers
from pavo.deploy.local.machine.logs import LogFile, tail
from pavo.deploy.local.machine.part_process import PartProcess, spawn
from pavo.deploy.local.spare import SpareWorker
from pavo.deploy.model import kept_settings
from pavo.deploy.model import state as state_file
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import ReadinessCheck, kind_of
from pavo.deploy.model.state import PartState, StackState
from pavo.errors import PavoError, Unavailable
from pavo.kit import cancellation
from pavo.kit.processes import ProcessIdentity

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""For one part to get ready at the start of a stack."""
STABLE_SECONDS = 10.0
"""A part that ran for so long is restarted at once when it dies; a quicker death waits."""
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0
PROBE_SECONDS = 0.03
WORKER = "worker"
SILENT = f"was silent for {liveness.SILENCE_SECONDS:.0f} s and was killed"
"""Said of a part that lived and answered nothing."""


@dataclass(slots=True)
class SupervisedPart:
    """One part under supervision."""

    name: str
    state: str = "waiting"
    child: PartProcess | None = None
    restarts: int = 0
    last_end: str = ""
    """How the process before this one ended, for people."""
    settings: int | None = None
    """The revision of the kept settings that its process was started with."""
    started_at: float = 0.0
    pause: float = 0.0
    """Before the next restart."""
    wanted: bool = True
    """Whether it is brought back when it dies."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    keeper: "asyncio.Task[None] | None" = None
    failure: BaseException | None = None


class Supervisor:
    """Supervises the named parts of one stack.

    Args:
        on_ready: told the name and the seconds of each part that got ready at the start.
        extra: environment for single parts, by name.
    """

    def __init__(
        self,
        layout: Layout,
        definition: StackDefinition,
        names: Sequence[str],
        *,
        on_ready: Callable[[str, float], None] = lambda _name, _seconds: None,
        on_start: Callable[[str], None] = lambda _name: None,
        extra: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._layout = layout
        self._definition = definition
        self._parts = {name: SupervisedPart(name) for name in names}
        self._on_ready = on_ready
        self._on_start = on_start
        self._extra = extra or {}
        self._ready = False
        self._ended_workers = EndedWorkers(layout)
        workers = [name for name in names if kind_of(name).name == WORKER]
        wanted = definition.options.spare_worker and workers and not any(self._extra.get(name) for name in workers)
        self._spare = SpareWorker(lambda: definition.launch(workers[0], {})) if wanted else None

    async def start(self) -> None:
        """Start everything, as parallel as the needs allow; returns when all parts are ready.

        Raises:
            Unavailable: a part did not get ready; the message tells its log.
        """
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        for part in self._parts.values():
            self._watch(part, begun)
        for part in self._parts.values():
            await self._until_ready(part)
        self._ready = True
        self._save()
        if self._spare is not None:
            self._spare.prepare()

    def _watch(self, part: SupervisedPart, begun: float) -> None:
        part.keeper = asyncio.create_task(self._keep(part, begun), name=f"keep-{part.name}")

    async def _until_ready(self, part: SupervisedPart) -> None:
        assert part.keeper is not None
        waiting = asyncio.create_task(part.ready.wait())
        try:
            done, _ = await asyncio.wait(
                {waiting, part.keeper}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        if part.keeper in done:
            part.keeper.result()
        if not part.ready.is_set():
            raise self._did_not_start(part)

    def _did_not_start(self, part: SupervisedPart) -> Unavailable:
        log = self._layout.log(part.name)
        last = "\n".join(tail(log, 8))
        return Unavailable(f"{part.name} did not get ready. The end of its log {log}:\n{last}", dependency=part.name)

    async def _keep(self, part: SupervisedPart, begun: float) -> None:
        """The life of one part: start, wait for its death, start again."""
        for need in self._needed(part.name):
            await need.ready.wait()
        while part.wanted:
            try:
                await self._live_once(part, begun)
            except Exception:
                # A part that got ready once is kept, whatever goes wrong here: nobody else would start it again.
                if not part.ready.is_set():
                    raise
                logger.exception("%s could not be kept and is started again", part.name)
                part.state = "restarting"
                if part.child is not None:
                    part.child.kill_group()
                await asyncio.sleep(MAX_PAUSE_SECONDS)

    async def _live_once(self, part: SupervisedPart, begun: float) -> None:
        """From a start to the pause after the death."""
        await self._until_stores(part)
        if not await self._begin(part):
            return
        assert part.child is not None
        silent = False
        if await self._get_ready(part) and await self._settle_once(part, begun):
            silent = await self._until_end(part)
        code = await asyncio.shield(part.child.exited)
        if kind_of(part.name).name == WORKER:
            self._ended_workers.ended(part.name, part.child, code)
        if part.wanted:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            await self._before_restart(part, SILENT if silent else how)

    async def _until_stores(self, part: SupervisedPart) -> None:
        """Wait until the stores that this part needs are ready: a store that keeps its data in another one would die
        again and again while that one recovers. Pavo's own processes wait by themselves, and import meanwhile.
        """
        if kind_of(part.name).readiness is not ReadinessCheck.ANNOUNCED:
            for need in self._needed(part.name):
                await self.until_ready(need.name)

    async def _begin(self, part: SupervisedPart) -> bool:
        """Start the part's process. False, after a pause, when the machine does not allow it at the moment (a full
        disk)."""
        try:
            await asyncio.to_thread(self._definition.component(part.name).prepare)
            if part.wanted:
                self._spawn(part)
        except (OSError, PavoError) as error:
            if not part.ready.is_set():
                raise
            logger.warning("%s cannot be started: %s", part.name, error)
            await asyncio.sleep(MAX_PAUSE_SECONDS)
            return False
        return part.wanted

    def _spawn(self, part: SupervisedPart) -> None:
        part.state = "restarting" if part.restarts else "starting"
        self._on_start(part.name)
        launch = self._definition.launch(part.name, self._extra.get(part.name, {}))
        part.settings = int(launch.environment.get(kept_settings.REVISION, 0)) or None
        if kind_of(part.name).name == WORKER and part.child is not None:
            launch = replace(launch, environment={**launch.environment, "PAVO_REPLACES": str(part.child.pid)})
            part.child = (self._spare.take(launch) if self._spare else None) or spawn(launch)
        else:
            part.child = spawn(launch)
        part.started_at = time.monotonic()
        self._ended_workers.began(part.name)
        self._save()

    async def _get_ready(self, part: SupervisedPart) -> bool:
        """Wait until the part is ready; False when it died instead, or hung and was killed."""
        assert part.child is not None
        announced = kind_of(part.name).readiness is ReadinessCheck.ANNOUNCED
        ready = part.child.announced.wait() if announced else self._probe(part.name)
        if not await part.child.while_alive(ready, START_SECONDS):
            part.child.kill_group()
            return False
        return True

    async def _probe(self, name: str) -> None:
        probe = await asyncio.to_thread(self._definition.probe, name)
        while not await probe():
            await asyncio.sleep(PROBE_SECONDS)

    async def _settle_once(self, part: SupervisedPart, begun: float) -> bool:
        """Tell everybody that the part is ready; False when it died in its first moments, which are spent on it."""
        assert part.child is not None
        first = not part.ready.is_set()
        if first and not await part.child.while_alive(self._definition.component(part.name).settle()):
            return False
        part.state = "ready"
        part.ready.set()
        self._save()
        if first:
            self._on_ready(part.name, time.monotonic() - begun)
        elif self._spare is not None:
            self._spare.prepare()
        return True

    async def _until_end(self, part: SupervisedPart) -> bool:
        """Wait for the end of a ready part; True when it was silent and is killed for that."""
        assert part.child is not None
        address, greeting = self._definition.address(part.name), self._greeting(part.name)
        silence = liveness.until_silent(address, greeting) if greeting else liveness.until_stopped(part.child.pid)
        silent = await part.child.while_alive(silence)
        if silent:
            logger.warning(
                "%s (pid %d) lives and has answered nothing for %.0f s: it is killed",
                part.name,
                part.child.pid,
                liveness.SILENCE_SECONDS,
            )
            part.child.kill_group()
        return silent

    def _greeting(self, name: str) -> liveness.Greeting:
        """Several processes on one port cannot be told apart by what answers there."""
        shared = kind_of(name).name == "api" and self._definition.options.apis > 1
        return b"" if shared else self._definition.component(name).greeting

    async def _before_restart(self, part: SupervisedPart, how: str) -> None:
        if not part.ready.is_set() and part.restarts >= 3:
            raise self._did_not_start(part)
        logger.warning("%s %s and is started again", part.name, how)
        self._note(part, how)
        part.state, part.last_end = "restarting", how
        part.restarts += 1
        stable = time.monotonic() - part.started_at > STABLE_SECONDS
        pause = 0.0 if stable or part.restarts == 1 else part.pause
        part.pause = FIRST_PAUSE_SECONDS if stable else min(max(part.pause * 2, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        self._save()
        if pause:
            await asyncio.sleep(pause)

    def _note(self, part: SupervisedPart, how: str) -> None:
        """Where people look for why a part ended: in its own log."""
        try:
            with LogFile(self._layout.log(part.name)) as log:
                log.write(f"[supervisor] {part.name} {how} and is started again".encode())
        except OSError as error:  # neither a full disk nor a lack of descriptors may end the supervision
            logger.warning("The log of %s cannot be written: %s", part.name, error)

    async def drop_spare(self) -> None:
        """End the spare worker, for the code that it has imported has changed; a fresh one comes by itself."""
        if self._spare is not None:
            await self._spare.end()

    async def stop(self) -> None:
        """End the parts in order: first what works, then what it works on. Nothing is left when this returns."""
        if self._spare is not None:
            await self._spare.end()
            self._spare = None
        left = set(self._parts)
        while left:
            needed = {need.name for name in left for need in self._needed(name)}
            free = left - needed
            await asyncio.gather(*(self.stop_part(name) for name in free))
            left -= free
        self._save()

    def _needed(self, name: str) -> list[SupervisedPart]:
        """The parts that must be ready before this one."""
        kinds = self._definition.needs(name)
        return [part for part in self._parts.values() if kind_of(part.name).name in kinds]

    async def stop_part(self, name: str) -> None:
        """End one part and leave it ended."""
        part = self._parts[name]
        part.wanted = False
        if part.child is not None and not part.child.exited.done():
            kind = kind_of(name)
            await part.child.end(self._definition.component(name).stop_signal or kind.stop_signal, kind.drain_seconds)
        if part.keeper is not None:
            await cancellation.end(part.keeper)
        if part.child is not None:
            part.child.kill_group()
        part.state, part.child = "stopped", None
        part.ready.clear()

    async def start_part(self, name: str) -> None:
        """Start a part that `stop_part` ended; returns when it is ready.

        Raises:
            Unavailable: it did not get ready; the message tells its log.
        """
        part = self._parts[name]
        part.wanted = True
        self._watch(part, time.monotonic())
        await self._until_ready(part)

    async def until_ready(self, name: str) -> None:
        """Wait until a part that died is back."""
        part = self._parts[name]
        while part.state != "ready" or part.child is None or part.child.exited.done():
            await asyncio.sleep(PROBE_SECONDS)

    def signal(self, name: str, number: int) -> int:
        """Send a part a signal; answers its pid. After SIGKILL it counts as not ready until it is back.

        Raises:
            Unavailable: it does not run at the moment.
        """
        pid, part = self.pid(name), self._parts[name]
        if number == signal.SIGKILL:
            part.state = "restarting"
        assert part.child is not None
        part.child.signal(number)
        return pid

    def kill_all(self) -> None:
        """SIGKILL everything at once."""
        for part in self._parts.values():
            part.wanted = False
            if part.child is not None:
                part.child.kill_group()

    def pid(self, name: str) -> int:
        """The pid of a running part.

        Raises:
            Unavailable: it does not run at the moment.
        """
        child = self._parts[name].child
        if child is None or child.exited.done():
            raise Unavailable(f"{name} does not run at the moment.", dependency=name)
        return child.pid

    def states(self) -> tuple[PartState, ...]:
        """What people see of each part."""
        return tuple(self._state(part) for part in self._parts.values())

    def _state(self, part: SupervisedPart) -> PartState:
        identity = part.child.identity if part.child is not None else None
        return PartState(
            part.name,
            part.state,
            identity.pid if identity else None,
            self._definition.address(part.name),
            part.restarts,
            str(self._layout.log(part.name)),
            identity.started if identity else None,
            part.last_end,
            part.child.version if part.child is not None else "",
            part.settings,
        )

    def describe(self) -> StackState:
        """What other commands are told."""
        supervisor = ProcessIdentity.of(os.getpid())
        assert supervisor is not None
        return StackState(
            supervisor,
            self._ready,
            self._definition.options.ephemeral,
            str(self._layout.root),
            self.states(),
            self._definition.urls,
            self._definition.environment,
            self._definition.name,
            dict(self._definition.versions),
        )

    def _save(self) -> None:
        try:
            state_file.write(self._layout, self.describe())
        except OSError as error:  # a full disk must not end the supervision
            logger.warning("The state file cannot be written: %s", error)
