"""A profile: all that is particular to one coding program. A TOML file, those of an operator like those shipped."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pavo.errors import ConfigurationError

Prompt = Literal["argument", "stdin", "file"]
DialectName = Literal["codex", "claude", "opencode", "gemini", "pi", "text"]
_PLACE: Final = re.compile(r"\$\{([a-z_]+)\}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PLACES: Final = frozenset(
    ("prompt", "prompt_file", "home", "worktree", "model", "model_url", "model_base", "model_key", "value")
)
"""What `${…}` may stand for. `model_base` is `model_url` without its `/v1`, which some programs add themselves."""
COMMAND: Final = "command"
"""The profile whose command is the job's."""


class GatewayUse(BaseModel):
    """How the program is told to ask its models through Pavo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict[str, str])
    files: Mapping[str, str] = Field(default_factory=dict[str, str])
    """By path below its home: what is written there before it starts."""


class Profile(BaseModel):
    """Of one coding program."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    command: tuple[str, ...]
    """With places such as `${prompt}`; the first is looked for in PATH."""
    prompt: Prompt = "argument"
    """`argument`: at `${prompt}`, else last. `file`: `${prompt_file}` names it. Else standard input is empty."""
    dialect: DialectName = "text"
    needs_last_word: bool = False
    """Whether it is done only when its stream says so."""
    options: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Arguments by option of the job, with `${value}`."""
    default_model: str = ""
    environment: Mapping[str, str] = Field(default_factory=dict[str, str])
    passed: tuple[str, ...] = ()
    """Variables of the agent's own environment that it gets, such as its key."""
    files: Mapping[str, str] = Field(default_factory=dict[str, str])
    gateway: GatewayUse | None = None
    success_codes: tuple[int, ...] = (0,)
    """Where it says no last word."""
    error_texts: tuple[str, ...] = ()
    """Regular expressions: a line of its output that one is found in says that it failed, whatever its exit code."""
    finish_seconds: float = Field(default=10.0, ge=0, le=600)
    """To end by itself after its last word."""
    term_seconds: float = Field(default=5.0, ge=0, le=120)
    """Between SIGTERM and the end of all that it started."""
    idle_seconds: float = Field(default=900.0, ge=1)
    line_bytes: int = Field(default=4_000_000, ge=1_000, le=64_000_000)
    leavings: tuple[str, ...] = ()
    """Patterns of files that it leaves in the worktree and that are no work of its own; removed where git does not
    know them."""
    sandbox: Literal["none", "landlock", "bubblewrap", "best"] = "none"
    network: bool = True
    readable: tuple[str, ...] = ()
    """What it reads beside the system's files where it is confined."""
    version: tuple[str, ...] = ()
    """A command that tells its version."""

    @property
    def program(self) -> str:
        """What is looked for in PATH."""
        return self.command[0] if self.command else ""


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its places filled."""
    return _PLACE.sub(lambda found: values.get(found[1], ""), text)


def places_in(text: str) -> set[str]:
    """Names of the places of a text."""
    return set(_PLACE.findall(text))


def load_profiles(folder: Path | None) -> Mapping[str, Profile]:
    """Those shipped, and those of this folder, which come first.

    Raises:
        ConfigurationError: one of the folder's is none.
    """
    found: dict[str, Profile] = {}
    for shipped in sorted(files("pavo.remote.programs.profiles").iterdir(), key=lambda each: each.name):
        if shipped.name.endswith(".toml"):
            profile = read_profile(shipped.name.removesuffix(".toml"), shipped.read_text())
            found[profile.name] = profile
    if folder is None:
        return found
    try:
        own = sorted(folder.expanduser().glob("*.toml"))
        texts = [(path.stem, path.read_text()) for path in own]
    except (OSError, UnicodeDecodeError) as error:
        remedy = "Name a folder with TOML files that this user can read."
        raise ConfigurationError(f"The profiles cannot be read: {error}.", field="--profiles", remedy=remedy) from error
    for name, text in texts:
        found[name] = read_profile(name, text)
    return found


def read_profile(name: str, text: str) -> Profile:
    """Of the text of its file.

    Raises:
        ConfigurationError: it is none; the field is told.
    """
    try:
        if _NAME.fullmatch(name) is None:
            raise ValueError("its file's name has other letters than a-z, 0-9, '.', '_' and '-'")
        profile = Profile.model_validate({"name": name, **tomllib.loads(text)})
        _check(profile)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        raise _wrong(name, f"{place}: {first['msg']}") from error
    except (ValueError, re.error) as error:
        raise _wrong(name, str(error)) from error
    return profile


def _check(profile: Profile) -> None:
    if not profile.command and profile.name != COMMAND:
        raise ValueError("command: it is empty")
    gateway = profile.gateway or GatewayUse()
    texts = [*profile.command, *profile.environment.values(), *profile.files.values(), *gateway.arguments]
    texts += [*gateway.environment.values(), *gateway.files.values()]
    for arguments in profile.options.values():
        texts += arguments
    if unknown := {each for text in texts for each in places_in(text)} - PLACES:
        raise ValueError(f"there is no place {min(unknown)!r}; there are {', '.join(sorted(PLACES))}")
    for text in profile.error_texts:
        re.compile(text)
    for path in (*profile.files, *gateway.files):
        if path.startswith("/") or ".." in Path(path).parts:
            raise ValueError(f"files: {path} is not below the program's home")


def _wrong(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"The profile {name} is wrong: {why}.", field=f"{name}.toml", remedy="Correct it.")
