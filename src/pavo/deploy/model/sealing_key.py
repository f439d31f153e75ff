"""The key that seals organisations' secrets, as a deployment of this machine makes and keeps it.

It is made once, into a file of mode 0600 of its own in the data directory, and stays there: a key that the deployment
keeps among its settings takes its place for sealing, and what the first one sealed can still be opened.
"""

import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from pavo.deploy.model.layout import Layout, write_private
from pavo.deploy.model.setting_rules import SEALING_FORMER_KEYS, SEALING_KEY

NAME: Final = "sealing.key"


def sealing_environment(layout: Layout, chosen: Mapping[str, str]) -> dict[str, str]:
    """What Pavo's own processes are told of the keys.

    Args:
        chosen: settings, by the name of the variable, that may name a key.
    """
    made = load_sealing_key(layout)
    key = chosen.get(SEALING_KEY) or made
    former = [each for each in (*chosen.get(SEALING_FORMER_KEYS, "").split(","), made) if each and each != key]
    return {SEALING_KEY: key, SEALING_FORMER_KEYS: ",".join(dict.fromkeys(former))}


def load_sealing_key(layout: Layout) -> str:
    """Read the key that this deployment made; make it the first time. Of two at once that do, one makes it."""
    path = layout.root / NAME
    if not path.exists():
        draft = layout.root / f"{NAME}.{os.getpid()}"
        write_private(draft, base64.b64encode(os.urandom(32)).decode())
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
