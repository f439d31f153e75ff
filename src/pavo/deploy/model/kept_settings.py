"""The settings that a deployment of this machine keeps: what it was started with, whatever shell starts it next.

Two files of mode 0600: `settings.json` with what may be read by whoever helps, and one for the secrets, whose name is
in the first. A change writes new secrets under a new name, then replaces `settings.json`, then removes the old ones:
whoever dies in between has changed everything or nothing.
"""

import contextlib
import fcntl
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pavo.deploy.model.layout import Layout, write_private
from pavo.deploy.model.setting_rules import is_secret
from pavo.errors import ConfigurationError, Conflict

FORMAT: Final = 1
NAME: Final = "settings.json"
SECRETS: Final = "settings-secrets"
"""How the names of the files with secrets begin."""
LOCK: Final = "settings.lock"
REVISION: Final = "PAVO_SETTINGS_REVISION"
"""Tells a process which revision it was started with."""


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """What a deployment keeps."""

    revision: int
    """Raised by each change."""
    changed_at: str
    values: Mapping[str, str]
    """By the name of the variable; secrets too."""


def load(layout: Layout) -> KeptSettings | None:
    """What is kept; None for a deployment that keeps nothing yet.

    Raises:
        ConfigurationError: a file is broken or missing. Nothing takes the place of what cannot be read: that could open
            the deployment, or blind it.
    """
    place = layout.root / NAME
    try:
        raw: dict[str, Any] = json.loads(place.read_text())
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']} is of another version of Pavo")
        secrets: dict[str, str] = json.loads((layout.root / raw["secrets"]).read_text()) if raw["secrets"] else {}
        return KeptSettings(int(raw["revision"]), str(raw["changed_at"]), {**raw["values"], **secrets})
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, FileNotFoundError) and not place.exists():
            return None
        raise ConfigurationError(
            f"The deployment's settings in {place} cannot be read: {error}.",
            field="--data-dir",
            remedy=f"Put back {NAME} and the file of secrets that it names; or remove {NAME}, and start the deployment "
            "with all of its settings in the environment.",
        ) from error


def save(layout: Layout, values: Mapping[str, str], *, expected: int | None) -> KeptSettings:
    """Keep these from now on.

    Args:
        expected: the revision that they were made from; None where nothing was kept.

    Raises:
        Conflict: somebody else has changed them meanwhile; nothing is changed.
    """
    with _alone(layout):
        before = load(layout)
        if (before.revision if before else None) != expected:
            raise Conflict(
                "The deployment's settings were changed meanwhile.",
                field="--data-dir",
                remedy="Look at them (pavo deploy settings), and repeat.",
            )
        revision = (expected or 0) + 1
        secrets = {name: value for name, value in values.items() if is_secret(name, value)}
        file = f"{SECRETS}.{revision}.json" if secrets else ""
        if secrets:
            write_private(layout.root / file, json.dumps(secrets, indent=1))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        plain = {name: value for name, value in sorted(values.items()) if name not in secrets}
        document = {"format": FORMAT, "revision": revision, "changed_at": now, "values": plain, "secrets": file}
        write_private(layout.root / NAME, json.dumps(document, indent=1))
        for old in _files_with_secrets(layout):
            if old.name != file:
                old.unlink(missing_ok=True)
        return KeptSettings(revision, now, dict(values))


@contextlib.contextmanager
def _alone(layout: Layout) -> Generator[None]:
    """For the moment of a change: the lock of the data directory is held by a stack for as long as it runs."""
    with (layout.root / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(layout: Layout) -> None:
    """Forget them, with the deployment."""
    for file in (layout.root / NAME, layout.root / LOCK, *_files_with_secrets(layout)):
        file.unlink(missing_ok=True)


def _files_with_secrets(layout: Layout) -> list[Path]:
    """Of every revision, and drafts of changes that died."""
    return [*layout.root.glob(f"{SECRETS}.*"), *layout.root.glob(f".{SECRETS}.*"), *layout.root.glob(f".{NAME}.*")]
