"""The settings of a deployment that is there: what it keeps, what it runs with, and how they are changed."""

import os
from collections.abc import Mapping
from pathlib import Path

from pavo import config
from pavo.config import Settings
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.kept_settings import KeptSettings
from pavo.deploy.model.layout import Layout, load_secrets
from pavo.deploy.model.parts import PAVOS_OWN, kind_of
from pavo.deploy.model.sealing_key import sealing_environment
from pavo.deploy.model.settings_plan import check_values
from pavo.deploy.model.state import StackState, running
from pavo.errors import ConfigurationError, NotFound

NEED_A_NEW_START = (
    setting_rules.HOST,
    setting_rules.GATEWAY_HOST,
    setting_rules.GATEWAY_PORT,
    setting_rules.GATEWAY_NAMES,
    "PAVO_GATEWAY_TLS_CERT_PATH",
    "PAVO_GATEWAY_INSECURE",
)
"""Settings that the supervisor itself knows the parts by."""


def settings_of(layout: Layout, stack: StackState) -> Settings:
    """What the processes of a running stack are given, in place of what this shell says.

    Raises:
        ConfigurationError: what is kept cannot be read.
    """
    kept = kept_settings.load(layout)
    addresses = {**stack.environment, "PAVO_TEMPORAL_UI_URL": stack.urls.temporal_ui}
    if kept is None:  # a stack of a test, or of a supervisor from before settings were kept
        shell = {
            name: value for name, value in os.environ.items() if not name.startswith(setting_rules.FOREIGN_PREFIXES)
        }
        return config.load({**shell, **addresses, **sealing_environment(layout, shell)})
    made = {"PAVO_SECRET_KEY": load_secrets(layout).session_key}
    return config.load({**made, **kept.values, **addresses, **sealing_environment(layout, kept.values)})


def kept_or_adopted(layout: Layout) -> KeptSettings:
    """What the deployment keeps; one that runs since before settings were kept begins with those that it runs with.

    Raises:
        NotFound: nothing is deployed here, or nothing is kept and nothing runs.
        ConfigurationError: what is kept cannot be read, or what it runs with cannot be seen.
    """
    kept = kept_settings.load(layout)
    if kept is not None:
        return kept
    state = running(layout.root)
    if state is None:
        raise NotFound(
            f"The deployment in {layout.root} keeps no settings yet.",
            field="--data-dir",
            remedy="Start it once (pavo deploy start), with its settings in the environment: these are kept.",
        )
    return kept_settings.save(layout, setting_rules.of_shell(_environment_of(state.supervisor.pid)), expected=None)


def _environment_of(pid: int) -> dict[str, str]:
    """With what environment a process was started.

    Raises:
        ConfigurationError: this system does not tell.
    """
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"With which settings the deployment runs cannot be seen here: {error}.",
            field="--data-dir",
            remedy="Stop it, and start it with its settings in the environment: these are kept.",
        ) from error
    pairs = (item.decode(errors="surrogateescape").partition("=") for item in raw.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def changed(kept: KeptSettings, given: Mapping[str, str], without: tuple[str, ...] = ()) -> dict[str, str]:
    """The settings after a change; a former encryption key stays, for reading.

    Raises:
        InvalidInput: a name or a value cannot be kept, or no part reads it.
        ConfigurationError: no API or no worker would start with them.
    """
    setting_rules.check_names((*given, *without))
    for name, value in given.items():
        setting_rules.check_value(name, value)
    after = {name: value for name, value in {**kept.values, **given}.items() if name not in without}
    setting_rules.check_known(given, after)
    after = setting_rules.with_rotated_key(kept.values, after)
    check_values(after)
    return after


def not_in_force(layout: Layout) -> list[str]:
    """The parts that run with settings from before the last change."""
    kept, state = kept_settings.load(layout), running(layout.root)
    if kept is None or state is None:
        return []
    return [
        part.name
        for part in state.parts
        if kind_of(part.name).name in PAVOS_OWN and part.pid is not None and part.settings != kept.revision
    ]
