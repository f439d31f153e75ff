"""The rules of artifacts: what they are called, and how much may be kept."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

from pavo.errors import ArtifactError

WORKSPACE: Final = "workspace/"
"""How the names of files begin that tools wrote into the task's workspace."""
RESULTS: Final = "results/"
"""How the names of tools' long results begin."""
_RESERVED: Final = (WORKSPACE, RESULTS)

MAX_NAME_BYTES: Final = 400
MAX_PART_BYTES: Final = 200
"""Of what lies between two slashes: a file of that name can be made nearly everywhere."""
MAX_PARTS: Final = 20
MAX_ARTIFACTS: Final = 10_000
"""Of one task."""
CHUNK_BYTES: Final = 256 * 1024
"""What is read, written or passed on at once."""
MAX_READ_BYTES: Final = 1024 * 1024
"""Of one read by an agent."""
HEAD_BYTES: Final = 4096
"""By which it is seen whether a file is a text."""
TOLD_NAMES: Final = 20
"""Of artifacts, in an error."""
MAX_TOLD: Final = 2_000
"""Characters of them."""
PLAIN_BYTES: Final = "application/octet-stream"
_BY_ENDING: Final = {
    **{"txt": "text/plain", "log": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html"},
    **{"css": "text/css", "py": "text/x-python", "diff": "text/x-diff", "json": "application/json"},
    **{"pdf": "application/pdf", "zip": "application/zip", "xml": "application/xml", "yaml": "application/yaml"},
    **{"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml"},
}
"""The same on every host, whatever its own table of types says."""
SWEEP_LOCK: Final = 0x7061766F41525446
"""PostgreSQL's advisory lock of sweeps: held shared by a backup, so that no content goes while it copies."""
_TOKEN: Final = r"[a-z0-9][\w.+-]{0,60}"
_MEDIA_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}(; ?[\w-]{{1,30}}=[\w.-]{{1,30}}){{0,3}}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a task. Other content under the same name is another artifact."""

    id: uuid.UUID
    name: str
    """Unique within its task; may hold slashes."""
    media_type: str
    bytes: int
    sha256: str
    """Of its content, in hex."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ArtifactPart:
    """A part of an artifact's content."""

    name: str
    media_type: str
    size: int
    """Bytes of all of it."""
    data: bytes
    """The part."""
    head: bytes
    """What all of it begins with, `HEAD_BYTES` at most."""


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """Bytes that may be kept, content that is there twice counted twice."""

    of_task: int
    of_organisation: int


def checked_name(name: object, *, own: bool = False) -> str:
    """The name of an artifact.

    Args:
        own: whether Pavo itself gives it, which has prefixes of its own.

    Raises:
        ArtifactError: it is none; the text says why.
    """
    if not isinstance(name, str) or not name:
        _refuse(f"{str(name)[:100]!r} is no name", "Give a text such as report.csv.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        _refuse("it holds half a character", "Give text that UTF-8 can hold.")
    if size > MAX_NAME_BYTES:
        _refuse(f"it has {size:,} bytes in UTF-8", f"Keep it under {MAX_NAME_BYTES}.")
    if "\\" in name or not name.isprintable():
        _refuse("it holds a backslash or a character that cannot be seen", "Leave that out.")
    parts = name.split("/")
    if len(parts) > MAX_PARTS or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        _refuse("it has too many or too long parts", f"At most {MAX_PARTS} of {MAX_PART_BYTES} bytes.")
    if any(part in ("", ".", "..") for part in parts):
        _refuse(f"{name[:100]!r} is not relative, or has an empty part, . or ..", "Write it as a/b.txt.")
    if not own and name.startswith(_RESERVED):
        _refuse(f"names that begin with {' or '.join(_RESERVED)} are Pavo's own", "Choose another one.")
    return name


def checked_media_type(media_type: object, name: str) -> str:
    """The media type; None: what the name's ending says.

    Raises:
        ArtifactError: it is none.
    """
    if media_type is None:
        return _BY_ENDING.get(name.rpartition(".")[2].lower(), PLAIN_BYTES)
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        told = f"put(): media_type: {str(media_type)[:100]!r} is none."
        raise ArtifactError(told, field="media_type", remedy="Write it as text/csv.")
    return media_type


def checked_range(offset: object, length: object) -> tuple[int, int]:
    """What is to be read of an artifact, within what one read gives.

    Raises:
        ArtifactError: a number is none.
    """
    if type(offset) is not int or type(length) is not int or not 0 <= offset < 2**62 or length < 0:
        raise ArtifactError("read(): offset and length are whole numbers from 0 on.", field="offset")
    return offset, min(length, MAX_READ_BYTES)


def no_such(name: str) -> ArtifactError:
    """There is no artifact of this name or id."""
    told = f"The task has no artifact {name[:100]!r}."
    return ArtifactError(told, field="name", remedy="Look at ctx.artifacts.list().")


def none_of_these(which: str, names: Sequence[str], *, more: bool) -> ArtifactError:
    """The same, for who cannot list them.

    Args:
        names: what there is, or the first of it.
        more: whether there is more.
    """
    shown = ", ".join(names)[:MAX_TOLD] + (", and more" if more else "")
    told = f"The task has no artifact {which[:100]!r}. There are: {shown or 'none'}."
    return ArtifactError(told, field="name", remedy="Give one of these names." if names else None)


def too_much(what: str, limit: int, variable: str) -> ArtifactError:
    """A limit is reached, and nothing was kept."""
    told = f"{what} may keep {limit:,} bytes of artifacts, and this would be more."
    return ArtifactError(told, field="data", remedy=f"Keep less, delete tasks, or have {variable} raised.")


def _refuse(why: str, remedy: str) -> NoReturn:
    raise ArtifactError(f"The artifact's name: {why}.", field="name", remedy=remedy)
