"""Which variables are a deployment's settings, which of them are secret, and which changes open or blind it."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pavo.errors import InvalidInput

CODEC_KEY: Final = "PAVO_TEMPORAL_CODEC_KEY"
FORMER_KEYS: Final = "PAVO_TEMPORAL_CODEC_FORMER_KEYS"
SEALING_KEY: Final = "PAVO_SEALING_KEY"
SEALING_FORMER_KEYS: Final = "PAVO_SEALING_FORMER_KEYS"
ROTATED: Final = ((CODEC_KEY, FORMER_KEYS), (SEALING_KEY, SEALING_FORMER_KEYS))
"""Keys, and where those of before stay for reading."""
HOST: Final = "PAVO_HOST"
GATEWAY_HOST: Final = "PAVO_GATEWAY_HOST"
GATEWAY_PORT: Final = "PAVO_GATEWAY_PORT"
GATEWAY_NAMES: Final = "PAVO_GATEWAY_NAMES"
DEFAULT_GATEWAY_PORT: Final = 7443
FOR_AGENTS: Final = "PAVO_AGENT_ENVIRONMENT"
"""Names further variables, such as an API key of a model: they are settings as much as it is."""
LOOPBACK_NAMES: Final = ("localhost", "::1", "[::1]")

STACKS_OWN: Final = frozenset(
    {
        *("PAVO_PORT", "PAVO_SHARE_PORT", "PAVO_ALLOW_FILE_ORIGIN", "PAVO_TEMPORAL_UI_URL", "PAVO_SEARCH_ATTRIBUTES"),
        *("PAVO_TEMPORAL_DATABASE_URL", "PAVO_DATA_DIR", "PAVO_URL", "PAVO_TOKEN", "PAVO_USER"),
        "PAVO_CACHE_DIR",
        *("PAVO_READY_FD", "PAVO_TURN_FD", "PAVO_REPLACES", "PAVO_WORKER_ENDS", "PAVO_SETTINGS_REVISION"),
    }
)
"""What the stack itself tells its parts, or options of `start` choose, or only the command line reads."""
FOREIGN_PREFIXES: Final = ("DATABASE_", "REDIS_", "TEMPORAL_", "PG", "PYTHON", "LD_")
"""The addresses of the parts, and what changes how programs are loaded."""
PAVOS: Final = "PAVO_"
KEPT_PREFIXES: Final = (PAVOS, "OTEL_")
"""What a first start takes from its shell: Pavo's settings, and OpenTelemetry's, of which `config` names a few."""
_OF_PROGRAMS: Final = re.compile(r"OTEL_\w+|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|TZ|LANG|LC_\w+", re.IGNORECASE)
"""What libraries of the parts read by themselves."""
_OTHERS: Final = re.compile(
    r"PAVO_TEST_\w+=.*"
    r"|PAVO_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)=.*"
    r"|PAVO_(\w+_)?PORT=(tcp|udp|sctp)://.*",
    re.DOTALL,
)
"""What tests are told, and what Kubernetes tells each container of a service whose name begins with pavo."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|HEADERS|DSN|AUTHORIZATION")
_LOGIN: Final = re.compile(r"://[^/\s@]*:[^/\s@]+@")
MAX_VALUE: Final = 32_000
"""Characters of a value: the kernel takes no more than 128 KiB for one variable."""


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A variable of which the shell says something else than the deployment."""

    name: str
    deployment: str
    shell: str

    @property
    def words(self) -> str:
        """For people; of a secret only that it differs."""
        if is_secret(self.name, self.shell) or is_secret(self.name, self.deployment):
            has = "another one" if self.deployment else "none"
            return f"{self.name}: this shell has a value, the deployment keeps {has}, and that holds"
        kept = f"the deployment keeps {self.deployment}" if self.deployment else "the deployment keeps none"
        return f"{self.name}: this shell has {self.shell}, {kept}, and that holds"

    def public(self) -> dict[str, str | None]:
        """For programs; no value of a secret."""
        return {
            "name": self.name,
            "deployment": shown(self.name, self.deployment) if self.deployment else None,
            "shell": shown(self.name, self.shell),
        }


def is_secret(name: str, value: str = "") -> bool:
    """Whether a setting is shown to nobody: by its name, or because its value is a URL with a password, or a file's."""
    return bool(_SECRET_NAME.search(name.upper()) or _LOGIN.search(value) or "\n" in value)


def shown(name: str, value: str) -> str:
    """A value for people."""
    return "(secret)" if is_secret(name, value) else value


def of_shell(environment: Mapping[str, str], kept: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings of Pavo's own processes in an environment, with what they name for agents: what a first start keeps.

    Args:
        kept: settings that hold already, which may name more for agents.
    """
    agents = {*_named_for_agents(environment), *_named_for_agents(kept or {})}
    found = {
        name: value
        for name, value in environment.items()
        if value and (name.startswith(KEPT_PREFIXES) or name in agents) and _may_be_kept(name)
    }
    if not any(name.startswith(PAVOS) for name in found):
        return found
    from pavo import config  # takes a tenth of a second, and most shells set nothing

    known = {*config.variables(), *agents}
    return {name: value for name, value in found.items() if name in known or not name.startswith(PAVOS)}


def differences(kept: Mapping[str, str], environment: Mapping[str, str]) -> tuple[SettingDifference, ...]:
    """Where an environment says something else than what is kept; what it does not say is no difference."""
    said = of_shell(environment, kept) | {name: environment[name] for name in kept if environment.get(name)}
    return tuple(
        SettingDifference(name, kept.get(name, ""), value)
        for name, value in sorted(said.items())
        if kept.get(name) != value
    )


def unread(environment: Mapping[str, str], kept: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names of an environment that are meant for Pavo and that no part reads, as where one is misspelt.

    Args:
        kept: settings that hold already, which may name more for agents.
    """
    meant = [
        name
        for name, value in environment.items()
        if value and name.startswith(PAVOS) and name not in STACKS_OWN and not _OTHERS.fullmatch(f"{name}={value}")
    ]
    if not meant:
        return ()
    from pavo import config  # takes a tenth of a second, and most shells set nothing

    agents = {*_named_for_agents(environment), *_named_for_agents(kept or {})}
    known = {*config.variables(), *agents, *(kept or {})}
    return tuple(sorted(name for name in meant if name not in known))


def refuse_unread(environment: Mapping[str, str]) -> None:
    """Refuse to begin with an environment of which no part reads a name that is meant for Pavo.

    Raises:
        InvalidInput: it has such names; the remedy has those that are like them.
    """
    names = unread(environment)
    if names:
        hints = "".join(hint for name in names if (hint := like(name)))
        agents = ",".join(dict.fromkeys([*_named_for_agents(environment), *names]))
        remedy = f"{hints}Else unset it in this shell, or, for agents, set {FOR_AGENTS}={agents}"
        raise InvalidInput(f"No part of Pavo reads {', '.join(names)}.", field=names[0], remedy=remedy)


def like(name: str) -> str:
    """A question with the settings that a name is like; empty where there is none."""
    from pavo import config  # takes a tenth of a second, and most commands set nothing

    return _hint(name, [each for each in config.variables() if _may_be_kept(each)])


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3)
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _named_for_agents(values: Mapping[str, str]) -> list[str]:
    return [name for each in values.get(FOR_AGENTS, "").split(",") if (name := each.strip())]


def check_names(names: Iterable[str]) -> None:
    """Refuse what cannot be kept.

    Raises:
        InvalidInput: it is no variable's name, or one that the stack sets itself.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a variable.", field="NAME", remedy="Write NAME=VALUE.")
        if not _may_be_kept(name):
            raise InvalidInput(
                f"{name} is not a setting that a deployment keeps: the stack sets it itself, or options do.",
                field=name,
                remedy="See pavo deploy start --help, and docs/configuration.md.",
            )


def check_known(given: Iterable[str], after: Mapping[str, str]) -> None:
    """Refuse what no part reads: a name that is misspelt changes nothing, and nobody notices.

    Args:
        after: the settings with the change, which may name further variables for agents.

    Raises:
        InvalidInput: no part reads one of these names; the remedy has one that is like it.
    """
    from pavo import config  # takes a tenth of a second, and most commands set nothing

    known = [*dict.fromkeys(name for name in config.variables() if _may_be_kept(name)), *_named_for_agents(after)]
    for name in given:
        if name in known or _OF_PROGRAMS.fullmatch(name):
            continue
        hint = _hint(name, known)
        agents = ",".join(dict.fromkeys([*_named_for_agents(after), name]))
        named = f"For agents: pavo deploy set {FOR_AGENTS}={agents} {name}=…"
        remedy = "See docs/configuration.md." if name.startswith(PAVOS) else named
        raise InvalidInput(f"No part of Pavo reads {name}.", field=name, remedy=hint + remedy)


def _may_be_kept(name: str) -> bool:
    return name not in STACKS_OWN and not name.startswith(FOREIGN_PREFIXES)


def check_value(name: str, value: str) -> None:
    """Refuse a value that no variable can have.

    Raises:
        InvalidInput: it is empty, too long, or has a null character or an end of line.
    """
    if not value or len(value) > MAX_VALUE or any(mark in value for mark in "\0\n\r"):
        raise InvalidInput(
            f"{name} needs a value of one line, of at most {MAX_VALUE:,} characters.",
            field=name,
            remedy=f"To have none: pavo deploy unset {name}",
        )


def dangers(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What a change would open to others, or make unreadable; for people."""
    found: list[str] = []
    if before.get("PAVO_AUTH") == "token" and after.get("PAVO_AUTH", "dev") != "token":
        found.append("PAVO_AUTH is no longer token: whoever reaches the API can be anybody.")
    if is_wider(before.get(HOST, ""), after.get(HOST, "")):
        found.append(f"{HOST} becomes {after[HOST]}: others than this machine reach the API.")
    if is_wider(before.get(GATEWAY_HOST, ""), after.get(GATEWAY_HOST, "")):
        found.append(f"{GATEWAY_HOST} becomes {after[GATEWAY_HOST]}: others than this machine reach the gateway.")
    if before.get("PAVO_PUBLIC_HOSTS") and not after.get("PAVO_PUBLIC_HOSTS"):
        found.append("PAVO_PUBLIC_HOSTS is gone: the API answers by any name.")
    if before.get(CODEC_KEY) and not after.get(CODEC_KEY):
        found.append(
            f"{CODEC_KEY} is gone: tasks that it encrypted cannot be read and stand still, "
            "and what comes is stored in the clear."
        )
    lost = _keys(before) - _keys(after)
    if after.get(CODEC_KEY) and lost:
        found.append(f"A former key is gone ({FORMER_KEYS}): tasks that it encrypted cannot be read and stand still.")
    if _keys(before, SEALING_KEY, SEALING_FORMER_KEYS) - _keys(after, SEALING_KEY, SEALING_FORMER_KEYS):
        found.append(
            f"A key is gone ({SEALING_KEY}, {SEALING_FORMER_KEYS}): secrets that it seals cannot be opened. "
            "First, with the new key in force: pavo secret rotate."
        )
    return found


def is_wider(before: str, after: str) -> bool:
    """Whether an address is reached by others who did not reach the one before."""
    return after not in ("", before) and not is_loopback(after) and (is_loopback(before) or is_wildcard(after))


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone; none given is."""
    return host in ("", *LOOPBACK_NAMES) or host.startswith("127.")


def is_wildcard(host: str) -> bool:
    """Whether an address means every one of this machine."""
    return host in ("0.0.0.0", "::", "[::]")


def with_rotated_key(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The settings after a change, with the former encryption keys still there for reading, unless they are changed
    too."""
    found = dict(after)
    for key, former in ROTATED:
        old, new = before.get(key), after.get(key)
        if old and new and old != new and after.get(former, "") == before.get(former, ""):
            kept = [each for each in after.get(former, "").split(",") if each and each != new]
            found[former] = ",".join([old, *kept])
    return found


def fingerprint(key: str) -> str:
    """By what a random key is named without being shown; of none it is empty."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else ""


def can_read(values: Mapping[str, str], key: str, name: str = CODEC_KEY, former: str = FORMER_KEYS) -> bool:
    """Whether settings have the key with this fingerprint, for writing or for reading."""
    return not key or key in {fingerprint(each) for each in _keys(values, name, former)}


def _keys(values: Mapping[str, str], key: str = CODEC_KEY, former: str = FORMER_KEYS) -> set[str]:
    return {each for each in (values.get(key, ""), *values.get(former, "").split(",")) if each}
