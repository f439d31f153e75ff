"""Remote agents at one gateway: `python -m bench.fleet [--agents 1000] [--jobs 100] [--only logs,…]`.

logs: ten agents send lines as fast as the gateway's credit lets them; beside it the gateway's own statement, by four
connections, without a gateway. All lines are counted in PostgreSQL afterwards.
agents: so many are connected, fifty at a time, and then do nothing but answer pings: memory, CPU of each process.
commands: one job after the other, from the beginning of its POST to its first command at the agent.

On data that survive a power cut. The agents are in this process: no figure of the gateway has them.
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from sqlalchemy import text

from bench.fleet_agents import BenchAgent
from bench.proc import Group, free_port, group, listens, script, until, usage
from pavo.deploy.local.stack import STORES, EmbeddedStack
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.domain import branch_of
from pavo.jobs.sql.log_lines import NewLine, add_lines
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb

SENDERS: Final = 10
CHUNK_LINES: Final = 200
TEXT: Final = "x" * 100
BARE_CONNECTIONS: Final = 4
BARE_LINES: Final = 2_000
"""Of one statement: about as many as the gateway gathers when much comes."""
AT_ONCE: Final = 50
"""Agents that connect at the same time."""
WARMED: Final = 10
"""Jobs before those that are measured."""
COMMAND_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Measuring:
    """A stack without Pavo's processes, which sections start."""

    group: Group
    database: Database
    environment: Mapping[str, str]
    organisation_id: uuid.UUID
    repository_id: uuid.UUID
    address: str
    """Of the gateway."""
    pids: dict[str, int]

    async def start(self, name: str, port: int | None = None) -> None:
        """Start `gateway`, `worker` or `api`, and wait until it listens, where it does."""
        self.pids[name] = self.group.start([script("pavo"), name], env=self.environment, grace=30, log=name)
        if port is not None:
            await until(lambda: listens(port), seconds=60, what=f"the {name}", logs=self.group)

    async def token(self, organisation_id: uuid.UUID | None = None) -> str:
        whose = organisation_id or self.organisation_id
        return (await AgentTokenService(self.database).create(whose, "bench")).secret

    async def run(self, statement: str, **values: object) -> Sequence[tuple[Any, ...]]:
        async with self.database.transaction() as session:
            answer = await session.execute(text(statement), values)
            return [tuple(row) for row in answer.all()] if answer.returns_rows else []  # type: ignore[attr-defined]

    async def job(self, agent: str) -> uuid.UUID:
        """A job that this agent has claimed."""
        job_id = uuid.uuid4()
        await self.run(
            "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, stage, "
            "epoch, agent_id, lease_until, branch) SELECT :id, organisation_id, :repository, 't', 'p', 'main', 0, "
            "'command', 'EXECUTING', 1, id, pavo_now() + interval '1 hour', :branch FROM remote_agents "
            "WHERE organisation_id = :organisation AND name = :agent",
            id=job_id,
            repository=self.repository_id,
            branch=branch_of(job_id),
            organisation=self.organisation_id,
            agent=agent,
        )
        await self.run(
            "INSERT INTO job_attempts (job_id, epoch, agent_id, agent) SELECT id, 1, agent_id, :agent FROM jobs "
            "WHERE id = :id",
            id=job_id,
            agent=agent,
        )
        return job_id


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: usage([pid]).cpu for name, pid in pids.items()}


@asynccontextmanager
async def connected(stack: Measuring, count: int, prefix: str) -> AsyncGenerator[list[BenchAgent]]:
    """So many agents."""
    token, turns = await stack.token(), asyncio.Semaphore(AT_ONCE)
    agents = [BenchAgent(stack.address, token, f"{prefix}-{number}") for number in range(count)]

    async def connect(each: BenchAgent) -> None:
        async with turns:
            await each.connect()

    try:
        await asyncio.gather(*(connect(each) for each in agents))
        yield agents
    finally:
        await asyncio.gather(*(each.close() for each in agents))


def chunks_of(count: int) -> Iterator[list[pb.LogLine]]:
    """So many lines of one log, in chunks."""
    for first in range(1, count + 1, CHUNK_LINES):
        last = min(first + CHUNK_LINES, count + 1)
        yield [
            pb.LogLine(seq=seq, at_ms=1_800_000_000_000, stage="EXECUTING", level="info", source="program", text=TEXT)
            for seq in range(first, last)
        ]


async def logs(stack: Measuring, lines: int) -> None:
    """Lines a second through the gateway, beside its statement alone, and how many were lost."""
    each_sends = lines // SENDERS
    async with connected(stack, SENDERS, "logs") as agents:
        jobs = [await stack.job(each.name) for each in agents]

        async def send(agent: BenchAgent, job: uuid.UUID) -> None:
            for chunk in chunks_of(each_sends):
                await agent.log(str(job), chunk)
            await agent.all_acked()

        cpu, begun = cpu_of(stack.pids), time.perf_counter()
        await asyncio.gather(*(send(agent, job) for agent, job in zip(agents, jobs, strict=True)))
        seconds = time.perf_counter() - begun
        cpu = {name: spent - cpu[name] for name, spent in cpu_of(stack.pids).items()}
    query = (
        "SELECT count(*), count(DISTINCT (job_id, seq)), coalesce(sum(gap), 0) FROM job_logs WHERE job_id = ANY (:jobs)"
    )
    (stored, distinct, gaps) = (await stack.run(query, jobs=jobs))[0]
    sent = each_sends * SENDERS
    bare = await bare_lines(stack, [await stack.job(each.name) for each in agents], each_sends)
    per_1000 = ", ".join(f"{name} {1e6 * cpu[name] / sent:.1f} ms" for name in ("gateway", "postgres"))
    print(
        f"logs: {sent / seconds:,.0f} lines/s through the gateway ({SENDERS} agents, {sent:,} lines of {len(TEXT)} B), "
        f"{sent / seconds / bare:.2f} of the {bare:,.0f}/s of its statement alone; stored {stored:,}, "
        f"twice {stored - distinct}, lost {sent - distinct}, told as missing {gaps}; CPU a thousand lines: {per_1000}"
    )
    await stack.run("DELETE FROM jobs")


async def bare_lines(stack: Measuring, jobs: Sequence[uuid.UUID], count: int) -> float:
    """Lines a second by the gateway's statement, from this process."""
    turns = asyncio.Semaphore(BARE_CONNECTIONS)

    async def put(job: uuid.UUID, first: int) -> None:
        async with turns:
            lines = [
                NewLine(job, 1, seq, 1_800_000_000_000, "EXECUTING", "info", "program", None, 0, TEXT)
                for seq in range(first, min(first + BARE_LINES, count + 1))
            ]
            await add_lines(stack.database, lines)

    begun = time.perf_counter()
    await asyncio.gather(*(put(job, first) for first in range(1, count + 1, BARE_LINES) for job in jobs))
    return count * len(jobs) / (time.perf_counter() - begun)


async def agents(stack: Measuring, count: int, idle: float) -> None:
    """What connected agents cost that do nothing."""
    before, begun = usage([stack.pids["gateway"]]).memory_mb, time.perf_counter()
    async with connected(stack, count, "idle") as found:
        connecting = time.perf_counter() - begun
        cpu, begun = cpu_of(stack.pids), time.perf_counter()
        await asyncio.sleep(idle)
        seconds = time.perf_counter() - begun
        cpu = {name: spent - cpu[name] for name, spent in cpu_of(stack.pids).items()}
        after = usage([stack.pids["gateway"]]).memory_mb
        there = sum(not each.ended for each in found)
        online = (await stack.run("SELECT count(*) FROM remote_agents WHERE online"))[0][0]
    shares = ", ".join(f"{name} {100 * spent / seconds:.1f} %" for name, spent in sorted(cpu.items()))
    each_kb = 1_000 * (after - before) / count
    print(
        f"agents: {there:,} connected ({online:,} online) within {connecting:.1f} s; the gateway has {after:.0f} MB, "
        f"{each_kb:.0f} KB for each; in {seconds:.0f} s of nothing but pings, of a core: {shares}"
    )


async def commands(stack: Measuring, count: int, api: int) -> None:
    """From POST to the command at the agent."""
    took: list[float] = []
    headers = {"X-User-Email": "bench@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api}", headers=headers, timeout=30) as client:
        org = uuid.UUID((await client.get("/api/session")).json()["organisation_id"])
        agent = BenchAgent(stack.address, await stack.token(org), "smith")
        await agent.connect()
        new = {"name": "site", "clone_url": "https://git.example.com/site.git"}
        (await client.post(f"/api/orgs/{org}/repositories", json=new)).raise_for_status()
        body = {"repository": "site", "title": "t", "prompt": "p", "program": "command"}
        for _ in range(WARMED + count):
            begun = time.perf_counter()
            (await client.post(f"/api/orgs/{org}/jobs", json=body)).raise_for_status()
            async with asyncio.timeout(COMMAND_SECONDS):
                _, at = await agent.commands.get()
                took.append(1_000 * (at - begun))
                await agent.commands.get()  # to clean up

                async def over() -> bool:
                    return (await stack.run("SELECT count(*) FROM jobs WHERE stage <> 'DONE'"))[0][0] == 0

                while not await over():
                    await asyncio.sleep(0.005)
        await agent.close()
    found = sorted(took[WARMED:])
    print(
        f"commands: {count} jobs, POST to command at the agent: p50 {found[len(found) // 2]:.0f} ms, "
        f"p99 {found[len(found) * 99 // 100]:.0f} ms, least {found[0]:.0f} ms"
    )


@asynccontextmanager
async def measuring() -> AsyncGenerator[tuple[Measuring, int]]:
    """The stack, and the port of its API, which is started when it is needed."""
    with group("fleet") as processes:
        async with EmbeddedStack(processes.folder / "data", parts=STORES) as embedded:
            url, port, api = embedded.environment["DATABASE_URL"], free_port(), free_port()
            await asyncio.to_thread(upgrade, url)
            environment = {
                **{name: embedded.environment[name] for name in ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS")},
                "TEMPORAL_TASK_QUEUE": "bench-fleet",
                "PAVO_GATEWAY_PORT": str(port),
                "PAVO_PORT": str(api),
                "PAVO_JOB_REVIEW_SECONDS": "0",
            }
            database, org, repository = Database(url), uuid.uuid4(), uuid.uuid4()
            pids = {name: process for name, process in stores_of(embedded).items()}
            stack = Measuring(processes, database, environment, org, repository, f"127.0.0.1:{port}", pids)
            await stack.run("INSERT INTO organisations (id, name) VALUES (:id, 'bench')", id=org)
            await stack.run(
                "INSERT INTO repositories (id, organisation_id, name, clone_url) VALUES (:id, :org, 'r', 'http://x/r')",
                id=repository,
                org=org,
            )
            try:
                await stack.start("gateway", port)
                yield stack, api
            finally:
                await database.close()
                for each in list(processes.pids):
                    processes.kill(each)


def stores_of(stack: EmbeddedStack) -> dict[str, int]:
    return {part.name: part.pid for part in stack.supervisor.states() if part.pid}


async def main(count: int, idle: float, jobs: int, lines: int, only: str) -> None:
    """Those that are wanted, one after the other, on the same stack."""
    wanted = only.split(",")
    async with measuring() as (stack, api):
        if "logs" in wanted:
            await logs(stack, lines)
        await stack.start("worker")
        if "agents" in wanted:
            await agents(stack, count, idle)
        if "commands" in wanted:
            await stack.start("api", api)
            await commands(stack, jobs, api)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.fleet")
    parser.add_argument("--agents", type=int, default=1_000, dest="count")
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--only", default="logs,agents,commands")
    asyncio.run(main(**vars(parser.parse_args())))
