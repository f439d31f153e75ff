"""One example: steps at random from a seed, then everything heals, and what came of it is judged."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pavo.errors import PavoError
from pavo.jobs import domain as d
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.queue.service import QueueService
from pavo.jobs.sql.queue import NewJob
from tests.driving import until
from tests.faults.proxy import Mode
from tests.fleet.machine.judgement import Model, Rows, check_history, check_logs, check_moment
from tests.fleet.machine.simulated import SimulatedAgent
from tests.fleet.machine.world import World
from tests.jobs.attempt.given import organisation

MOST_JOBS = 10
ATTEMPTS = 50
"""No job is given up within an example."""
HEALED_SECONDS = 180.0
"""A limit, no measure: what takes longest is a workflow of a worker that died, 10 s."""
Rule = Callable[[], Awaitable[str]]


class Example:
    """Two organisations, each with an agent of its own, and one agent that serves both: the first may have more jobs at
    once than its agent, the agent of the second more than its organisation."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, random.Random(seed)
        self.trail: list[str] = [f"seed {seed}"]
        self.agents: list[SimulatedAgent] = []
        self.paused: dict[uuid.UUID, float] = {}
        self.deaths = 0
        self.asked: list[asyncio.Task[None]] = []
        self.rules: list[tuple[int, Rule]] = [
            (5, self.submit),
            (6, self.finish),
            (4, self.come),
            (3, self.log),
            (2, self.move),
            (2, self.pause_or_resume),
            (2, self.cancel),
            (2, self.cut),
            (2, self.black_hole),
            (2, self.agent_dies),
            (2, self.time_passes),
            (1, self.part_dies),
        ]

    async def run(self, steps: int) -> list[str]:
        """What was done."""
        try:
            await self._begin()
            weights = [weight for weight, _ in self.rules]
            for _ in range(steps):
                (_, rule) = self.rng.choices(self.rules, weights)[0]
                self.trail.append(await rule())
                await asyncio.sleep(
                    self.rng.uniform(0, 0.3)
                )  # for whatever is under way to meet the next step anywhere
                await self._check()
            await self._heal()
            await self._judge()
        except BaseException:
            print("\n".join(self.trail))
            raise
        finally:
            for task in self.asked:
                task.cancel()
            await asyncio.gather(*self.asked, *(each.disconnect() for each in self.agents), return_exceptions=True)
        return self.trail

    async def _begin(self) -> None:
        await self.world.make_whole()
        database, service = self.world.database, AgentTokenService(self.world.database)
        made = [await organisation(database) for _ in range(2)]
        self.who = {who.organisation_id: who for who, _, _ in made}
        self.repositories = {who.organisation_id: repository for who, repository, _ in made}
        self.orgs = list(self.who)
        self.model = Model(dict(zip(self.orgs, (2, 1), strict=True)))
        tag = uuid.uuid4().hex[:6]
        for whose, capacity in ((self.orgs[0], 1), (self.orgs[1], 2), (None, 1)):
            token = (await service.create(whose, "a test")).secret
            agent = SimulatedAgent(f"{tag}-{len(self.agents)}", token, capacity, self.world.now)
            self.agents.append(agent)
        for org in self.orgs:
            await self.submit(org)
            await self.world.queue.limit(org, self.model.at_once[org])
        for agent in self.agents[:2]:
            await agent.connect(self.rng.choice(self.world.ports))

    # What happens

    async def submit(self, org: uuid.UUID | None = None) -> str:
        if len(self.model.jobs) >= MOST_JOBS:
            return "enough jobs"
        org = org or self.rng.choice(self.orgs)
        new = NewJob(
            org,
            self.repositories[org],
            "Fix it",
            "Fix this.",
            "main",
            "command",
            priority=self.rng.choice((0, 50, 50, 100)),
            max_attempts=ATTEMPTS,
        )
        before = await self.world.now()
        self.model.jobs[new.id] = org
        await self.world.queue.submit(new, "ada@example.com")
        self.model.queued_at[new.id] = await self.world.now()
        self.model.ranks[new.id] = [(before, await self.world.rank(new.id))]
        return f"{org} submits {new.id}, priority {new.priority}"

    async def finish(self) -> str:
        working = [(agent, each) for agent in self.agents if agent.is_connected for each in agent.unfinished]
        if not working:
            return "nobody works"
        agent, command = self.rng.choice(working)
        await agent.finish(command)
        return f"{agent.name} finishes {command.job_id} {command.epoch}"

    async def log(self) -> str:
        known = [(agent, attempt) for agent in self.agents for attempt in sorted(agent.spools)]
        if not known:
            return "nothing to tell"
        (agent, attempt), lost = self.rng.choice(known), self.rng.choice((0, 0, 3))
        await agent.log(attempt, self.rng.randint(1, 20), lost)
        return f"{agent.name} tells of {attempt}, {lost} lines lost"

    async def move(self) -> str:
        rows = await Rows.read(self.world.database, list(self.model.jobs))
        queued = [each.id for each in rows.jobs.values() if each.stage == d.QUEUED]
        if not queued:
            return "nothing waits"
        job, position = self.rng.choice(queued), self.rng.randint(1, 4)
        before = await self.world.now()
        with suppress(PavoError):  # it was given out meanwhile
            await self._queue.move(self.model.jobs[job], job, "ada@example.com", position=position)
        after = await self.world.now()
        for each in self.model.jobs:  # others may have been spread
            self.model.ranks[each].append((before, await self.world.rank(each)))
        self.model.changed.append((job, before, after))
        return f"{job} is moved to {position}"

    async def pause_or_resume(self) -> str:
        org = self.rng.choice(self.orgs)
        if org in self.paused:
            await self._resume(org)
            return f"{org} resumes"
        await self._queue.pause(org, None)
        self.paused[org] = await self.world.now()
        return f"{org} pauses"

    async def cancel(self) -> str:
        job = self.rng.choice(sorted(self.model.jobs))
        if job in self.model.cancelled or self.rng.random() < 0.5:
            return "nothing is cancelled"
        self.model.cancelled[job] = await self.world.now()
        self.asked.append(asyncio.create_task(self._cancel(job)))
        return f"{job} is cancelled"

    async def cut(self) -> str:
        agent = self.rng.choice(self.agents)
        if agent.link is not None:
            await agent.link.switch(Mode.CUT)
        return f"{agent.name} is cut off"

    async def black_hole(self) -> str:
        agent = self.rng.choice(self.agents)
        if agent.link is not None:
            await agent.link.switch(Mode.BLACK_HOLE)
        return f"{agent.name} is in a black hole"

    async def agent_dies(self) -> str:
        agent = self.rng.choice(self.agents)
        await agent.die()
        return f"{agent.name} dies"

    async def come(self) -> str:
        agent = self.rng.choice([each for each in self.agents if not each.is_connected] or self.agents)
        there = await agent.connect(self.rng.choice(self.world.ports))
        return f"{agent.name} comes: {there}"

    async def time_passes(self) -> str:
        """Leases that are not renewed at once run out."""
        seconds = self.rng.choice((20.0, 61.0, 600.0))
        self.model.jumps.append((await self.world.now(), seconds))
        await self.world.jump(seconds)
        await asyncio.gather(*(each.renew() for each in self.agents if each.is_connected))
        return f"{seconds:g} s pass"

    async def part_dies(self) -> str:
        if self.deaths:
            return "enough parts have died"
        self.deaths += 1
        if self.rng.random() < 0.6:
            self.world.kill_gateway(self.rng.randrange(2))
            return "a gateway is killed"
        self.world.kill_worker()
        return "the worker is killed"

    # What holds

    async def _check(self) -> None:
        check_moment(self.model, await Rows.read(self.world.database, list(self.model.jobs)), self.agents)

    async def _heal(self) -> None:
        """Everything is there again, and goes on until every job is over and every agent has told everything."""
        if not self.world.is_whole:
            await asyncio.gather(*(each.disconnect() for each in self.agents))
            await self.world.make_whole()
        for org in list(self.paused):
            await self._resume(org)
        for agent in self.agents:
            agent.automatic = True
        await until(self._is_over, seconds=HEALED_SECONDS, what=f"the end of every job ({'; '.join(self.trail)})")
        await until(self._is_told, what="that every agent has told everything")

    async def _is_over(self) -> bool:
        await self._reconnect()
        for agent in self.agents:
            for command in agent.unfinished:
                await agent.finish(command)
        await self._check()
        rows = await Rows.read(self.world.database, list(self.model.jobs))
        return all(each.stage in d.OVER for each in rows.jobs.values())

    async def _is_told(self) -> bool:
        await self._reconnect()
        for agent in self.agents:
            if not agent.owes_nothing:
                await agent.resend()
        return all(agent.owes_nothing for agent in self.agents)

    async def _reconnect(self) -> None:
        for agent in self.agents:
            if not agent.is_connected:
                await agent.connect(self.rng.choice(self.world.ports))

    async def _judge(self) -> None:
        rows = await Rows.read(self.world.database, list(self.model.jobs))
        check_moment(self.model, rows, self.agents)
        check_history(self.model, rows)
        await check_logs(self.world.database, self.agents)

    @property
    def _queue(self) -> QueueService:
        return self.world.queue

    async def _resume(self, org: uuid.UUID) -> None:
        self.model.pauses.append((org, self.paused.pop(org), await self.world.now()))
        await self._queue.resume(org)

    async def _cancel(self, job: uuid.UUID) -> None:
        with suppress(PavoError):  # over already, or nobody was there to take it: the row says that it was asked
            await self.world.jobs.cancel(self.who[self.model.jobs[job]], job)
