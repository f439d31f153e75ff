"""What an agent says of itself at the beginning of a session, checked."""

import re
import uuid
from collections.abc import Sequence
from typing import Final

from pavo.errors import InvalidInput
from pavo.jobs.agents.sessions import Described, HeldJob
from pavo.jobs.agents.tokens import checked_agent_name
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.versions import refusal

MAX_WORDS: Final = 64
"""Labels, and programs, of one agent."""
MAX_CAPACITY: Final = 100
MAX_RUNNING: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9][\w.:/=@+-]{0,99}", re.ASCII)


def described(hello: pb.Hello) -> Described:
    """Read a Hello.

    Raises:
        InvalidInput: the versions do not fit, or something that it says cannot be.
    """
    refused = refusal(hello.protocol, "agent")
    if refused:
        raise InvalidInput(refused, field="protocol", remedy="Install the agent program of this deployment's version.")
    checked_agent_name(hello.agent)
    for field, value in (("machine_id", hello.machine_id), ("boot_id", hello.boot_id)):
        if not _NAME.fullmatch(value):
            raise InvalidInput(f"{value[:100]!r} is no {field}.", field=field, remedy="Upgrade the agent program.")
    return with_capabilities(hello, hello.capabilities)


def with_capabilities(hello: pb.Hello, found: pb.Capabilities) -> Described:
    """The same agent with these capabilities.

    Raises:
        InvalidInput: one of them cannot be.
    """
    if not 1 <= found.capacity <= MAX_CAPACITY:
        raise InvalidInput(
            f"A capacity of {found.capacity} cannot be.",
            field="capacity",
            remedy=f"Choose 1 to {MAX_CAPACITY}.",
        )
    return Described(
        name=hello.agent.strip(),
        machine_id=hello.machine_id,
        boot_id=hello.boot_id,
        version=_shown(hello.version),
        labels=_words("labels", found.labels),
        programs=_words("programs", found.programs),
        capacity=found.capacity,
        draining=found.draining,
        sandbox=_shown(found.sandbox),
    )


def attempt_of(job_id: str, epoch: int) -> HeldJob | None:
    """An attempt as messages name it; None: no attempt is named so."""
    try:
        return HeldJob(uuid.UUID(job_id), epoch) if len(job_id) == 36 and 0 < epoch < 2**62 else None
    except ValueError:
        return None


def running(jobs: Sequence[pb.RunningJob]) -> Sequence[HeldJob]:
    """The attempts that an agent says it has; what names none is left out."""
    found = (attempt_of(each.job_id, each.epoch) for each in jobs[:MAX_RUNNING])
    return list(dict.fromkeys(each for each in found if each is not None))


def _words(field: str, words: Sequence[str]) -> Sequence[str]:
    if len(words) > MAX_WORDS:
        raise InvalidInput(f"{len(words)} {field} are too many.", field=field, remedy=f"Give {MAX_WORDS} at most.")
    for word in words:
        if not _WORD.fullmatch(word):
            raise InvalidInput(
                f"{word[:100]!r} is none of {field}.",
                field=field,
                remedy="Use up to 100 letters, digits and _.:/=@+-, beginning with a letter or a digit.",
            )
    return list(dict.fromkeys(words))


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:200])
