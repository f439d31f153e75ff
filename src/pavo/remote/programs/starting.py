"""Running a coding program for a command: its words, its environment, and what becomes of its output."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from pavo.remote.processes.contract import Ended, Ending, Limits, OutputLine
from pavo.remote.processes.running import run
from pavo.remote.programs.dialects.happenings import Heard
from pavo.remote.programs.dialects.readers import read
from pavo.remote.programs.profile import COMMAND, GatewayUse, Profile, filled, places_in
from pavo.remote.programs.sandbox import Confinement, Reach, Sandboxes, beside, confined
from pavo.remote.work import CommandFailed, Work

LONGEST_ARGUMENT: Final = 120_000
"""Bytes; the system takes 131,071 in one."""
_PASSED: Final = (
    *("PATH", "LANG", "LC_ALL", "TZ", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY"),
    *("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)
_SHOWN: Final = 16_000


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """How a program asks its models through Pavo."""

    url: str
    """Such as https://pavo.example/llm/v1."""
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program works."""

    worktree: str
    home: Path
    writable: tuple[str, ...] = ()
    """What it writes beside, such as what git keeps of the worktree."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program."""

    ended: Ended
    heard: Heard


class Starting:
    """One run of a program. Made for each.

    Args:
        options: of the job, which the profile knows by name; foreign.
        model: None: it asks its models itself.
    """

    def __init__(
        self, profile: Profile, options: Mapping[str, Any], place: Place, here: Sandboxes, model: ModelAccess | None
    ) -> None:
        self._profile, self._options, self._place, self._here = profile, options, place, here
        self._model = model
        self._errors = [re.compile(each) for each in profile.error_texts]
        self._ending = Ending()
        self.heard = Heard()

    async def run(self, work: Work, prompt: str, idle_seconds: float | None = None) -> Ran:
        """Run it to its end.

        Raises:
            CommandFailed: it cannot be started as it is asked for.
        """
        prompt = prompt.replace("\0", "\N{REPLACEMENT CHARACTER}")
        values = self._values(prompt)
        argv = self._words(values, prompt)
        env = self._environment(values)
        self._write_files(values, prompt)
        argv = self._confined(argv, env)
        profile = self._profile
        bounds = work.limits(idle=idle_seconds or profile.idle_seconds, grace=profile.term_seconds)
        limits = Limits(bounds.timeout_seconds, bounds.idle_seconds, bounds.grace_seconds, profile.line_bytes)
        work.log(f"$ {' '.join(_quoted(each) for each in argv)}"[:_SHOWN], source="program", level="debug")

        async def on_line(line: OutputLine) -> None:
            self._take(work, line)

        stdin = prompt.encode(errors="replace") if profile.prompt == "stdin" else b""
        with work.cancels(self._ending):
            ended = await run(
                argv,
                cwd=self._place.worktree,
                env=env,
                stdin=stdin,
                limits=limits,
                on_line=on_line,
                ending=self._ending,
                mark=work.mark,
            )
        self._tell(work, ended)
        return Ran(ended, self.heard)

    def _take(self, work: Work, line: OutputLine) -> None:
        """A line: into the log, and what it tells into events."""
        cut = f" … ({line.cut_bytes:,} bytes more)" if line.cut_bytes else ""
        found = read(self._profile.dialect, self.heard, line.text) if line.stream == "stdout" else []
        if any(each.search(line.text) for each in self._errors):
            self.heard.error = line.text[:_SHOWN]
        level = "error" if any(each.type == "error" for each in found) else "info"
        first = found[0].event if found else ""
        work.log(line.text + cut, source="program", level=level, event=first)
        for each in found[1:]:
            work.log(each.text or each.type, source="program", event=each.event)
        if self.heard.is_done:
            self._ending.finish(self._profile.finish_seconds)

    def _tell(self, work: Work, ended: Ended) -> None:
        code = "no exit code" if ended.exit_code is None else f"exit code {ended.exit_code}"
        how = ended.ended_by.replace("_", " ")
        work.log(f"{self._profile.name} ended after {ended.seconds:.1f} s: {how}, {code}.")
        if ended.killed or ended.left:
            left = f"{ended.killed} processes that it left were ended, {ended.left} could not be."
            work.log(left, level="warning")

    def _values(self, prompt: str) -> dict[str, str]:
        model = self._options.get("model")
        found = {
            "prompt": prompt,
            "prompt_file": str(self._place.home / "prompt.md"),
            "home": str(self._place.home),
            "worktree": self._place.worktree,
            "model": model if isinstance(model, str) else self._profile.default_model,
        }
        if len(prompt.encode(errors="replace")) > LONGEST_ARGUMENT:
            found["prompt"] = f"Your task is in the file {found['prompt_file']}: read it, and do it."
        elif prompt.startswith("-"):
            found["prompt"] = f" {prompt}"  # else it would be an option
        if self._model is not None:
            url = self._model.url
            found |= {"model_url": url, "model_base": url.removesuffix("/v1"), "model_key": self._model.key}
        return found

    def _words(self, values: Mapping[str, str], prompt: str) -> list[str]:
        profile = self._profile
        if profile.name == COMMAND:
            return self._own_words()
        program = shutil.which(profile.program)
        if program is None:
            raise CommandFailed(
                f"{profile.program} is not installed on this agent's machine.",
                kind="NoProgram",
                remedy="Install it where the agent's PATH finds it; `pavo agent doctor` tells which programs can run.",
            )
        words = [program, *(filled(each, values) for each in profile.command[1:])]
        if self._model is not None and profile.gateway is not None:
            self._check_model(values, profile.gateway)
            words += [filled(each, values) for each in profile.gateway.arguments]
        words += self._option_words()
        if profile.prompt == "argument" and not any("prompt" in places_in(each) for each in profile.command):
            words.append(values["prompt"])
        return words

    def _check_model(self, values: Mapping[str, str], use: GatewayUse) -> None:
        told = (*use.arguments, *use.environment.values(), *use.files.values())
        if not values["model"] and any("model" in places_in(each) for each in told):
            raise CommandFailed(
                f"{self._profile.name} asks its models through Pavo, and no model is named.",
                kind="BadOptions",
                remedy='Give the option "model", such as {"model": "gpt-5", "gateway": true}.',
            )

    def _own_words(self) -> list[str]:
        """Of the profile `command`."""
        match self._options.get("command"):
            case str(text) if text.strip() and "\0" not in text:
                return ["/bin/sh", "-c", text]
            case list():
                words = cast(list[Any], self._options["command"])
                if words and all(isinstance(each, str) and "\0" not in each for each in words):
                    return [str(each) for each in words]
            case _:
                pass
        raise CommandFailed(
            "The job's options name no command.",
            kind="BadOptions",
            remedy='Give one, such as {"command": ["make", "fix"]}, or a text for sh.',
        )

    def _option_words(self) -> list[str]:
        words: list[str] = []
        for name, arguments in self._profile.options.items():
            if name == "model" and self._model is not None and self._profile.gateway is not None:
                continue  # the gateway's arguments have it
            value = self._options.get(name)
            values = cast(list[Any], value) if isinstance(value, list) else [] if value is None else [value]
            for each in values:
                if not isinstance(each, str | int | float) or "\0" in str(each) or str(each).startswith("-"):
                    remedy = "Give a text or a number that does not begin with a minus."
                    raise CommandFailed(f"The option {name} is {each!r:.100}.", kind="BadOptions", remedy=remedy)
                words += [filled(argument, {"value": str(each)}) for argument in arguments]
        return words

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        profile, home = self._profile, str(self._place.home)
        temporary = self._place.home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = {name: os.environ[name] for name in (*_PASSED, *profile.passed) if name in os.environ}
        found.setdefault("LANG", "C.UTF-8")
        found |= {"HOME": home, "TMPDIR": str(temporary), "TERM": "dumb", "NO_COLOR": "1", "CI": "1"}
        found |= {"GIT_TERMINAL_PROMPT": "0", "PWD": self._place.worktree}
        found |= {name: filled(value, values) for name, value in profile.environment.items()}
        if self._model is not None and profile.gateway is not None:
            found |= {name: filled(value, values) for name, value in profile.gateway.environment.items()}
        return {name: value.replace("\0", "") for name, value in found.items()}

    def _write_files(self, values: Mapping[str, str], prompt: str) -> None:
        """Below its home, where nobody else reads."""
        profile = self._profile
        texts = {name: filled(text, values) for name, text in profile.files.items()}
        if self._model is not None and profile.gateway is not None:
            texts |= {name: filled(text, values) for name, text in profile.gateway.files.items()}
        texts["prompt.md"] = prompt
        for name, text in texts.items():
            path = self._place.home / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.unlink(missing_ok=True)  # what an earlier program left there may lead elsewhere
            path.write_text(text, encoding="utf-8", errors="replace")

    def _confined(self, argv: list[str], env: Mapping[str, str]) -> list[str]:
        wanted = confinement_of(self._profile, self._options)
        program = shutil.which(argv[0], path=env.get("PATH")) or argv[0]
        readable = (*wanted.readable, *beside(program))
        reach = Reach(self._place.worktree, str(self._place.home), self._place.writable, readable, wanted.network)
        return confined(wanted.kind, self._here, argv, reach)


def confinement_of(profile: Profile, options: Mapping[str, Any]) -> Confinement:
    """How a program is confined.

    Raises:
        CommandFailed: the job's option is none.
    """
    kind = options.get("sandbox", profile.sandbox)
    if kind not in ("none", "landlock", "bubblewrap", "best"):
        remedy = "Choose none, landlock, bubblewrap or best."
        raise CommandFailed(f"The option sandbox is {kind!r:.60}.", kind="BadOptions", remedy=remedy)
    if kind == "none" and profile.sandbox != "none":
        kind = profile.sandbox  # the machine's owner decides on the least
    network = profile.network and options.get("network") is not False
    return Confinement(kind, network, profile.readable)


def _quoted(word: str) -> str:
    plain = word if len(word) <= 200 else f"{word[:200]}…"
    return plain if re.fullmatch(r"[\w./:=@%+,-]+", plain) else json.dumps(plain, ensure_ascii=False)
