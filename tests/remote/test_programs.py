"""Coding programs by profile: their words, their environment, their dialects, and when they are done."""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.agents.confinement.landlock import version
from pavo.errors import ConfigurationError
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.journal import Attempt
from pavo.remote.programs.dialects.happenings import Heard
from pavo.remote.programs.dialects.readers import read
from pavo.remote.programs.profile import Profile, load_profiles, read_profile
from pavo.remote.programs.sandbox import Sandboxes, found_here
from pavo.remote.programs.starting import ModelAccess, Place, Ran, Starting
from pavo.remote.programs.verdict import judge
from pavo.remote.work import CommandCancelled, CommandFailed, Work

HERE = Sandboxes(0, "", "")
SHIPPED = {
    "aider",
    "claude-code",
    "cline",
    "codex",
    "command",
    "gemini-cli",
    "mini-swe-agent",
    "opencode",
    "pi",
    "qwen-code",
}


class Log:
    """Lines of a job."""

    def __init__(self) -> None:
        self.lines: list[pb.LogLine] = []

    def add(self, _: Attempt, line: pb.LogLine) -> int:
        self.lines.append(line)
        return len(self.lines)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each.event) for each in self.lines if each.event]


async def _put_by(_: bytes) -> None:
    return None


def work(log: Log | None = None, seconds: int = 60) -> Work:
    # An id of its own: what another process of the suite ends by it must not be this one's.
    command = pb.Command(id=str(uuid.uuid4()), job_id="job", epoch=1, timeout_seconds=seconds)
    return Work(command, (log or Log()).add, lambda _: None, _put_by)


def place(folder: Path) -> Place:
    for name in ("tree", "home"):
        (folder / name).mkdir(exist_ok=True)
    return Place(str(folder / "tree"), folder / "home")


def program(folder: Path, name: str, code: str) -> None:
    """Install one."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    path = bin_folder / name
    path.write_text(f"#!{sys.executable} -S\n{code}")
    path.chmod(0o755)
    os.environ["PATH"] = f"{bin_folder}:{os.environ['PATH']}"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])


async def run(profile: Profile, folder: Path, prompt: str = "do it", log: Log | None = None, **options: Any) -> Ran:
    return await Starting(profile, options, place(folder), HERE, None).run(work(log), prompt)


def judged(profile: Profile, ran: Ran) -> CommandFailed | None:
    try:
        judge(work(), profile, ran)
    except CommandFailed as error:
        return error
    return None


def test_the_shipped_profiles_are_whole() -> None:
    found = load_profiles(None)
    assert set(found) == SHIPPED
    for each in found.values():
        assert not any("model_key" in word for word in (each.gateway.arguments if each.gateway else ())), each.name
        assert each.needs_last_word <= (each.dialect != "text"), each.name


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("command = []", "command"),
        ("command = ['x']\nprompt = 'mouth'", "prompt"),
        ("command = ['x', '${nothing}']", "nothing"),
        ("command = ['x']\nunknown = 1", "unknown"),
        ("command = ['x']\n[files]\n'../etc/passwd' = 'x'", "below"),
        ("command = ['x']\nerror_texts = ['(']", "subpattern"),
        ("command = ", "Invalid value"),
    ],
)
def test_a_wrong_profile_is_told_with_its_field(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=field) as found:
        load_profiles(tmp_path)
    assert found.value.field == "mine.toml"


async def test_the_prompt_comes_as_the_profile_says(tmp_path: Path) -> None:
    program(tmp_path, "says", "import sys\nprint(sys.argv[1:], repr(sys.stdin.read()))")
    prompt = "--upload-pack=$(touch here) `x`; 'y'\nmore"
    by = {
        "argument": f"{[' ' + prompt]} ''\n",
        "stdin": f"[] {prompt!r}\n",
        "file": f"[{str(tmp_path / 'home' / 'prompt.md')!r}] ''\n",
    }
    for kind, expected in by.items():
        words = ["says", "${prompt_file}"] if kind == "file" else ["says"]
        log = Log()
        profile = Profile(name="says", command=tuple(words), prompt=kind)  # type: ignore[arg-type]
        ran = await run(profile, tmp_path, prompt, log)
        assert ran.ended.passed and log.lines[1].text + "\n" == expected.replace("\\n", "\\n")
        assert (tmp_path / "home/prompt.md").read_text() == prompt
    assert not (tmp_path / "tree/here").exists()


async def test_a_prompt_that_is_too_long_for_an_argument_is_in_a_file(tmp_path: Path) -> None:
    program(tmp_path, "says", "import sys\nprint(open(sys.argv[1].split()[6].rstrip(':')).read() == 'x' * 300_000)")
    log = Log()
    ran = await run(Profile(name="says", command=("says",)), tmp_path, "x" * 300_000, log)
    assert ran.ended.passed and log.lines[1].text == "True"


async def test_its_environment_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "says", "import os, json\nprint(json.dumps(dict(os.environ)))")
    monkeypatch.setenv("PAVO_AGENT_TOKEN", "a secret")
    monkeypatch.setenv("ITS_KEY", "a key")
    profile = Profile(name="says", command=("says",), passed=("ITS_KEY",), environment={"WHERE": "${worktree}"})
    log = Log()
    await run(profile, tmp_path, log=log)
    found = json.loads(log.lines[1].text)
    assert found["HOME"] == str(tmp_path / "home") and found["WHERE"] == str(tmp_path / "tree")
    assert found["ITS_KEY"] == "a key" and "PAVO_AGENT_TOKEN" not in found and found["GIT_TERMINAL_PROMPT"] == "0"


async def test_options_become_words_and_never_flags(tmp_path: Path) -> None:
    program(tmp_path, "says", "import sys\nprint(sys.argv[1:])")
    profile = Profile(name="says", command=("says",), options={"model": ("-m", "${value}"), "files": ("${value}",)})
    log = Log()
    await run(profile, tmp_path, "do it", log, model="x; y", files=["a", 2], unknown="z")
    assert log.lines[1].text == str(["-m", "x; y", "a", "2", "do it"])
    for wrong in ("--yolo", {"a": 1}, ["-x"], True and [None]):
        with pytest.raises(CommandFailed, match="option model"):
            await run(profile, tmp_path, model=wrong)


async def test_models_are_asked_through_the_gateway_where_that_is_wanted(tmp_path: Path) -> None:
    program(
        tmp_path,
        "qwen",
        "import os, sys\nprint(sys.argv[1:], os.environ['OPENAI_BASE_URL'])\n"
        "print(os.environ['OPENAI_API_KEY'] == 'a-key')",
    )
    log = Log()
    profile = load_profiles(None)["qwen-code"]
    access = ModelAccess("https://pavo.example/llm/v1", "a-key")
    await Starting(profile, {"model": "m1"}, place(tmp_path), HERE, access).run(work(log), "do it")
    assert "'-m', 'm1'" in log.lines[1].text and "https://pavo.example/llm/v1" in log.lines[1].text
    assert log.lines[2].text == "True" and not any("a-key" in each.text for each in log.lines)


async def test_the_profile_command_runs_what_the_job_says(tmp_path: Path) -> None:
    profile = load_profiles(None)["command"]
    log = Log()
    ran = await run(profile, tmp_path, "the prompt", log, command=["sh", "-c", "cat > made; echo $PWD"])
    assert ran.ended.passed and (tmp_path / "tree/made").read_text() == "the prompt"
    assert log.lines[1].text == str(tmp_path / "tree") and ran.heard.summary == str(tmp_path / "tree")
    assert (await run(profile, tmp_path, command="exit 3")).ended.exit_code == 3
    for wrong in (None, [], "", [1], {"a": 1}, "a\0b"):
        with pytest.raises(CommandFailed, match="no command"):
            await run(profile, tmp_path, command=wrong)


async def test_a_program_that_is_not_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="not installed"):
        await run(Profile(name="x", command=("surely-not-there",)), tmp_path)


CODEX = [
    {"type": "thread.started", "thread_id": "1"},
    {"type": "item.started", "item": {"type": "command_execution", "command": "ls"}},
    {"type": "item.completed", "item": {"type": "command_execution", "command": "ls", "aggregated_output": "a\n"}},
    {"type": "item.completed", "item": {"type": "file_change", "changes": [{"path": "a.txt", "kind": "add"}]}},
    {"type": "item.completed", "item": {"type": "agent_message", "text": "I made a.txt."}},
    {"type": "turn.completed", "usage": {"input_tokens": 7, "output_tokens": 3}},
]


async def test_a_stream_becomes_events_and_its_last_word_ends_a_program_that_hangs(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(each) for each in CODEX)
    program(
        tmp_path,
        "codex",
        f"import signal, time\nprint({lines!r}, flush=True)\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(600)",
    )
    shipped = load_profiles(None)["codex"]
    profile = shipped.model_copy(update={"finish_seconds": 0.2, "term_seconds": 0.2})
    log = Log()
    ran = await run(profile, tmp_path, log=log)
    assert ran.ended.ended_by == "terminal_event" and judged(profile, ran) is None
    assert (ran.heard.summary, ran.heard.input_tokens, ran.heard.output_tokens) == ("I made a.txt.", 7, 3)
    assert [each["type"] for each in log.events()] == ["tool_call", "tool_result", "file", "message", "tokens"]


@pytest.mark.parametrize(
    ("dialect", "said", "error"),
    [
        ("codex", [{"type": "turn.failed", "error": {"message": "no key"}}], "no key"),
        ("codex", CODEX, ""),
        ("claude", [{"type": "result", "subtype": "success", "is_error": True, "result": "401 no key"}], "401 no key"),
        ("claude", [{"type": "result", "subtype": "error_max_turns", "is_error": False}], "error_max_turns"),
        (
            "claude",
            [
                {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Write", "input": {}}]}},
                {
                    "type": "result",
                    "subtype": "success",
                    "is_error": False,
                    "result": "Done.",
                    "usage": {"input_tokens": 1},
                },
            ],
            "",
        ),
        ("opencode", [{"type": "error", "error": {"data": {"message": "500"}}}], "500"),
        (
            "opencode",
            [
                {"type": "tool_use", "part": {"tool": "write", "state": {"input": {"path": "a"}}}},
                {"type": "step_finish", "part": {"reason": "tool-calls", "tokens": {"input": 1, "output": 1}}},
                {"type": "text", "part": {"text": "Done."}},
                {"type": "step_finish", "part": {"reason": "stop", "tokens": {"input": 1, "output": 1}}},
            ],
            "",
        ),
        ("gemini", [{"type": "result", "status": "error", "error": {"message": "bad"}}], "bad"),
        (
            "gemini",
            [
                {"type": "tool_use", "tool_name": "write_file", "parameters": {}},
                {"type": "message", "role": "assistant", "content": "Do", "delta": True},
                {"type": "message", "role": "assistant", "content": "ne.", "delta": True},
                {"type": "result", "status": "success", "stats": {"input_tokens": 5, "output_tokens": 1}},
            ],
            "",
        ),
        (
            "pi",
            [
                {"type": "message_end", "message": {"role": "assistant", "stopReason": "error", "errorMessage": "401"}},
                {"type": "agent_end"},
            ],
            "401",
        ),
    ],
)
def test_every_dialect_tells_its_end(dialect: str, said: list[dict[str, Any]], error: str) -> None:
    heard = Heard()
    for each in said[:-1]:
        read(dialect, heard, json.dumps(each))
        assert not heard.is_done
    read(dialect, heard, json.dumps(said[-1]))
    assert heard.is_done and heard.error == error
    if not error:
        assert heard.summary in ("Done.", "I made a.txt.") and heard.input_tokens > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "item", "part", "message", "content", "usage", "error", "text", "tokens", "result"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(
    [
        "item.completed",
        "turn.completed",
        "turn.failed",
        "error",
        "assistant",
        "user",
        "result",
        "text",
        "tool_use",
        "step_finish",
        "message",
        "message_end",
        "tool_execution_start",
        "agent_end",
        "tool_result",
    ]
)


@given(st.sampled_from(["codex", "claude", "opencode", "gemini", "pi", "text"]), TYPES, JSON, st.text(max_size=20))
def test_whatever_a_program_prints_breaks_nothing(dialect: str, kind: str, said: Any, text: str) -> None:
    heard = Heard()
    line = json.dumps({**(said if isinstance(said, dict) else {"item": said, "part": said}), "type": kind})
    for each in (line, text, "{" + text, "[" * 2_000):
        for happening in read(dialect, heard, each):
            assert isinstance(json.loads(happening.event), dict)


async def test_success_is_never_the_exit_code_alone(tmp_path: Path) -> None:
    program(tmp_path, "codex", "pass")
    codex = load_profiles(None)["codex"]
    failed = judged(codex, await run(codex, tmp_path))
    assert failed is not None and "without saying that it is done" in failed.detail
    program(tmp_path, "aider", "print('litellm.AuthenticationError: no key')")
    aider = load_profiles(None)["aider"]
    refused = judged(aider, await run(aider, tmp_path))
    assert refused is not None and refused.kind == "ProgramFailed" and "AuthenticationError" in refused.detail
    program(tmp_path, "mini", "raise SystemExit(2)")
    mini = load_profiles(None)["mini-swe-agent"]
    ended = judged(mini, await run(mini, tmp_path))
    assert ended is not None and "exit code 2" in ended.detail


async def test_silence_is_told_and_may_pass(tmp_path: Path) -> None:
    program(tmp_path, "opencode", "import time\ntime.sleep(600)")
    profile = load_profiles(None)["opencode"].model_copy(update={"idle_seconds": 1.0})
    failed = judged(profile, await run(profile, tmp_path))
    assert failed is not None and failed.kind == "ProgramIdle" and failed.retryable


async def test_a_cancelled_program_is_no_failure(tmp_path: Path) -> None:
    program(tmp_path, "codex", "import time\nprint('there', flush=True)\ntime.sleep(600)")
    profile, doing, log = load_profiles(None)["codex"], None, Log()
    doing = work(log)
    task = asyncio.create_task(Starting(profile, {}, place(tmp_path), HERE, None).run(doing, "x"))
    async with asyncio.timeout(20):
        while not any(each.text == "there" for each in log.lines):
            await asyncio.sleep(0.01)
    doing.ending.cancel()
    with pytest.raises(CommandCancelled):
        judge(doing, profile, await task)


@pytest.mark.skipif(not version(), reason="this kernel has no Landlock")
async def test_landlock_keeps_a_program_in_its_worktree(tmp_path: Path) -> None:
    here = found_here()
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    profile = Profile(name="command", command=(), prompt="stdin", sandbox="landlock")
    command = f"echo x > here; cat {secret}; echo y > {tmp_path}/outside; echo z > $HOME/mine; echo done"
    log = Log()
    starting = Starting(profile, {"command": command, "sandbox": "none"}, place(tmp_path), here, None)
    ran = await starting.run(work(log), "")
    texts = [each.text for each in log.lines]
    assert ran.ended.passed and "done" in texts and not any("hidden" in each for each in texts)
    assert (tmp_path / "tree/here").exists() and (tmp_path / "home/mine").exists()
    assert not (tmp_path / "outside").exists()


async def test_a_network_that_is_taken_away(tmp_path: Path) -> None:
    here = found_here()
    profile = load_profiles(None)["command"]
    command = "cat /proc/net/dev | grep -c : "
    log = Log()
    starting = Starting(profile, {"command": command, "network": False}, place(tmp_path), here, None)
    if not (here.network or here.bubblewrap):
        with pytest.raises(CommandFailed, match="takes the network away"):
            await starting.run(work(log), "")
        return
    await starting.run(work(log), "")
    assert log.lines[1].text == "1"  # the loopback alone


async def test_a_sandbox_that_is_not_there_is_refused(tmp_path: Path) -> None:
    profile = load_profiles(None)["command"]
    for wanted in ("landlock", "bubblewrap"):
        with pytest.raises(CommandFailed, match="cannot confine the program") as refused:
            await run(profile, tmp_path, command="true", sandbox=wanted)
        assert refused.value.kind == "NoSandbox" and "pavo agent doctor" in (refused.value.remedy or "")
    with pytest.raises(CommandFailed, match="sandbox"):
        await run(profile, tmp_path, command="true", sandbox="castle")


def test_a_profile_of_an_operator_comes_first(tmp_path: Path) -> None:
    (tmp_path / "codex.toml").write_text("command = ['my-codex']")
    assert load_profiles(tmp_path)["codex"].command == ("my-codex",)
    assert read_profile("x", "command = ['a']").prompt == "argument"
