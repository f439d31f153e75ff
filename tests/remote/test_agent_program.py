"""`pavo agent run` as a process: a job from its worktree to its pull request, its death in the middle, its imports."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.deploy.certificates.authority import new_authority, sign
from pavo.protocol import fleet_pb2 as pb
from tests.forges.small_forge import Forge
from tests.remote.fake_gateway import TOKEN, FakeGateway
from tests.remote.test_processes import gone, in_folder

FORBIDDEN = ("sqlalchemy", "psycopg", "alembic", "temporalio", "fastapi", "starlette", "redis", "cryptography")
JOB = str(uuid.UUID(int=7))


class Agents:
    """Processes of the program, one after the other, with one state directory."""

    def __init__(self, folder: Path, port: int, token: str = TOKEN, name: str = "one") -> None:
        self.state, self.port, self.token, self.name = folder / "state", port, token, name
        self.log = (folder / "log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        words = ["--url", f"http://127.0.0.1:{self.port}", "--name", self.name, "--state", str(self.state)]
        env = {**os.environ, "PAVO_AGENT_TOKEN": self.token, "no_proxy": "*"}
        process = subprocess.Popen(
            [sys.executable, "-m", "pavo.cli.main", "agent", "run", *words],
            env=env,
            stdout=self.log,
            stderr=self.log,
        )
        self.processes.append(process)
        return process

    @property
    def worktree(self) -> Path:
        (found,) = (self.state / "work" / "worktrees").iterdir()
        return found

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.log.close()


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    gateway = await FakeGateway().start()
    gateway.password = "token-that-writes"
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest_asyncio.fixture
async def agents(gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[Agents]:
    found = Agents(tmp_path, gateway.port)
    try:
        yield found
    finally:
        found.end()


def command(kind: str, **body: object) -> pb.Command:
    name = str(uuid.uuid5(uuid.UUID(JOB), f"{kind}{body.pop('attempt', '')}"))
    found = pb.Command(id=name, job_id=JOB, epoch=1, timeout_seconds=300)
    getattr(found, kind).CopyFrom(body["message"])
    return found


def where(forge: Forge, name: str) -> pb.Repository:
    return pb.Repository(clone_url=forge.clone_url(name), default_branch="main", forge="gitea", forge_url=forge.url)


def execution(forge: Forge, name: str, script: str, attempt: str = "", **more: object) -> pb.Command:
    message = pb.StartExecution(
        repository=where(forge, name),
        base_branch="main",
        branch=f"pavo/{JOB}",
        title="Add it",
        prompt="Add a line",
        program=pb.Program(profile="command", options=json.dumps({"command": script})),
        **more,  # type: ignore[arg-type]
    )
    return command("start_execution", message=message, attempt=attempt)


async def test_a_job_from_its_worktree_to_its_pull_request(
    gateway: FakeGateway,
    agents: Agents,
    small_forge: Forge,
    repository: str,
) -> None:
    process = agents.start()
    stream = await gateway.session()
    assert "command" in stream.hello.capabilities.programs and stream.hello.capabilities.sandbox
    prepare = [pb.Check(name="tools", command="echo prepared > .prepared-by", timeout_seconds=20)]
    execute = execution(small_forge, repository, "cat > line.txt; rm .prepared-by; echo I added it", prepare=prepare)
    await stream.send(command=execute)
    executed = (await gateway.result(execute.id)).executed
    assert executed.changed and [each.path for each in executed.files] == ["line.txt"]
    assert executed.summary.endswith("I added it") and executed.ended_by == "exit" and executed.exit_code == 0
    stages = [each.stage for each in stream.of("working")]
    assert stages.index("PREPARING") < stages.index("EXECUTING")
    checks = [pb.Check(name="there", command="grep 'Add a line' line.txt"), pb.Check(name="wrong", command="exit 3")]
    verify = command("run_verification", message=pb.RunVerification(checks=checks))
    await stream.send(command=verify)
    verified = (await gateway.result(verify.id)).verified
    assert [(each.name, each.exit_code) for each in verified.checks] == [("there", 0), ("wrong", 3)]
    branch = f"pavo/{JOB}"
    publish = command(
        "create_pull_request",
        message=pb.CreatePullRequest(
            repository=where(small_forge, repository),
            base_branch="main",
            branch=branch,
            push_branch=branch,
            title="Add it",
            body="Done.",
            commit_message="Add it",
        ),
    )
    await stream.send(command=publish)
    result = await gateway.result(publish.id)
    assert result.published.url and result.published.branch == branch, result
    assert small_forge.file(repository, branch, "line.txt") == "Add a line"
    worktree = agents.worktree
    clean = command("cleanup", message=pb.Cleanup(job_id=JOB, epoch=1))
    await stream.send(command=clean)
    assert (await gateway.result(clean.id)).HasField("cleaned") and not worktree.exists()
    sources = {each.source for each in gateway.lines[(JOB, 1)]}
    assert {"program", "git", "prepare:tools", "verify:there", "verify:wrong"} <= sources
    assert not any("token-that-writes" in each.text for each in gateway.lines[(JOB, 1)])
    process.send_signal(signal.SIGTERM)
    await gateway.until(lambda: process.poll() is not None, "its end")
    assert process.returncode == 0 and stream.of("goodbye")


@pytest.mark.fault
async def test_killed_in_the_middle_it_runs_nothing_twice_and_goes_on(
    gateway: FakeGateway,
    agents: Agents,
    small_forge: Forge,
    repository: str,
) -> None:
    process = agents.start()
    stream = await gateway.session()
    flag = agents.state / "again"
    script = f"echo $$ >> pids; setsid sleep 600 & [ -e {flag} ] && exit; touch {flag}; echo there; exec sleep 601"
    execute = execution(small_forge, repository, script)
    await stream.send(command=execute)
    await gateway.until(lambda: any(each.text == "there" for each in gateway.lines.get((JOB, 1), [])))
    worktree = agents.worktree
    assert in_folder(worktree)
    process.kill()
    process.wait()
    agents.start()
    second = await gateway.session(2)
    failure = (await gateway.result(execute.id)).failure
    assert failure.type == "AgentRestarted" and failure.retryable and await gone(worktree)
    await second.send(command=execute)  # the same command: its answer, and no program
    await gateway.until(lambda: len(second.of("accepted")) == 1 and len(gateway.results) > 1)
    assert len((worktree / "pids").read_text().split()) == 1
    again = execution(small_forge, repository, script, "again")
    await second.send(command=again)
    assert (await gateway.result(again.id)).executed.changed
    assert len((worktree / "pids").read_text().split()) == 1 and await gone(worktree), "each in a worktree of its own"
    assert any("begins anew, in a new worktree" in each.text for each in gateway.lines[(JOB, 1)])
    assert b"+++ b/pids" in next(content for _, name, _, content in gateway.files if name == "patch")
    seqs = [each.seq for each in gateway.lines[(JOB, 1)]]
    assert seqs == sorted(set(seqs))


async def test_wrong_programs_and_options_are_told(
    gateway: FakeGateway,
    agents: Agents,
    small_forge: Forge,
    repository: str,
) -> None:
    agents.start()
    stream = await gateway.session()
    for program, kind in (
        (pb.Program(profile="nothing"), "NoProgram"),
        (pb.Program(profile="command", options="["), "BadOptions"),
        (pb.Program(profile="gemini-cli", options="{}", gateway=True), "NoGateway"),
        (pb.Program(profile="command", options="{}"), "BadOptions"),
    ):
        wrong = execution(small_forge, repository, "true", str(program))
        wrong.start_execution.program.CopyFrom(program)
        await stream.send(command=wrong)
        failure = (await gateway.result(wrong.id)).failure
        assert failure.type == kind and failure.remedy, failure


def test_the_program_imports_no_database_no_temporal_no_web_framework() -> None:
    code = """
import sys
from pavo.cli.main import app
import pavo.remote.composition, pavo.remote.doctor, pavo.cli.jobs.agent_program
try:
    app(["agent", "--help"], exit_on_error=False, print_error=False)
except SystemExit as ended:
    assert not ended.code, ended.code
import json
print("MODULES " + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "doctor" in said and "run" in said
    loaded = set(json.loads(said.rpartition("MODULES ")[2]))
    assert "grpc" in loaded and not loaded & set(FORBIDDEN)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--url", "https://x:1"], "no token"),
        (["--url", "http://example.com", "--token", "t"], "could be read"),
        (["--token", "t"], "where the gateway is"),
        (["--url", "https://x", "--token", "t", "--name", "a b"], "no name of an agent"),
        (["--url", "https://x", "--token", "t", "--labels", "a;b"], "no label"),
        (["--url", "https://x", "--token", "t", "--capacity", "0"], "capacity"),
        (["--url", "https://x", "--token", "t", "--ca", "/nowhere"], "cannot be read"),
        (["--url", "https://u:p@x", "--token", "t"], "followed by more"),
    ],
)
def test_what_is_typed_wrong_is_told_with_its_remedy(tmp_path: Path, words: list[str], told: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAVO_AGENT")}
    said = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", "agent", "run", "--state", str(tmp_path / "state"), *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2 and told in " ".join(said.stderr.split()) and "→" in said.stderr
    assert not (tmp_path / "state").exists()


async def test_a_doctor_tells_what_is_wrong(gateway: FakeGateway, tmp_path: Path) -> None:
    async def doctor(port: int) -> dict[str, dict[str, object]]:
        words = ["--url", f"http://127.0.0.1:{port}", "--token", TOKEN, "--state", str(tmp_path / "s"), "-o", "json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pavo.cli.main", "agent", "doctor", *words, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return {each["name"]: each for each in json.loads(said)["checks"]}

    found = await doctor(gateway.port)
    assert found["git"]["ok"] and found["Gateway"]["ok"] and found["Token"]["ok"] and found["command"]["ok"]
    await gateway.stop()
    away = await doctor(gateway.port)
    assert not away["Gateway"]["ok"] and not away["Token"]["ok"] and away["Token"]["remedy"]


async def test_a_gateway_that_is_reached_the_wrong_way_is_told_in_words_alone(tmp_path: Path) -> None:
    """By http where it has TLS, and without the authority that signed its certificate."""
    now = datetime.now(UTC)
    signed = sign(new_authority("test", now), "gateway", ["127.0.0.1"], now)
    (tmp_path / "cert.pem").write_text(signed.certificate_pem)
    (tmp_path / "key.pem").write_text(signed.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)

    async def doctor(scheme: str) -> tuple[dict[str, dict[str, str]], str]:
        words = ["--url", f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", "--token", TOKEN, "-o", "json"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pavo.cli.main", "agent", "doctor", "--state", str(tmp_path / "s"), *words),
            env={name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, others = await process.communicate()
        return {each["name"]: each for each in json.loads(said)["checks"]}, others.decode()

    async with server:
        plain, _ = await doctor("http")
        secured, others = await doctor("https")
    assert "by https://, not by http://" in plain["Token"]["remedy"], plain
    assert "--ca" in secured["Token"]["remedy"] and "ssl_transport_security" not in others, others
