"""`pavo deploy settings`, `set` and `unset`: the settings that a deployment of this machine keeps."""

import getpass
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pavo.cli.confirm import confirm
from pavo.cli.deploy import orchestrated
from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import Approved, layout_of
from pavo.cli.table import table
from pavo.deploy.local.deployed_settings import NEED_A_NEW_START, changed, kept_or_adopted, not_in_force
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.kept_settings import KeptSettings
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError, InvalidInput

GENERATED = {
    setting_rules.CODEC_KEY: lambda: b64encode(os.urandom(32)).decode(),
    setting_rules.SEALING_KEY: lambda: b64encode(os.urandom(32)).decode(),
    "PAVO_SECRET_KEY": lambda: secrets.token_urlsafe(48),
}
"""The secrets that are nothing but random, and how they are made."""


def settings(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Show what the deployment keeps, where this shell differs, and which parts were started before a change.

    Args:
        data_dir: where everything is kept.
    """
    layout = _here(data_dir)
    kept = kept_or_adopted(layout)
    Printer(output).show(_document(layout, kept), lambda: _show(layout, kept))
    return 0


def set_settings(
    *assignments: str,
    generate: bool = False,
    data_dir: Path | None = None,
    yes: Approved = False,
    output: Output = "text",
) -> int:
    """Change settings that the deployment keeps; asks when that opens it to others or makes tasks unreadable.

    A new PAVO_TEMPORAL_CODEC_KEY or PAVO_SEALING_KEY keeps the former one for reading.

    Args:
        assignments: NAME=VALUE; NAME=- reads a line of standard input; NAME alone takes the shell's value, or asks.
        generate: with NAME alone: make a new secret, of PAVO_TEMPORAL_CODEC_KEY, PAVO_SEALING_KEY or PAVO_SECRET_KEY.
        data_dir: where everything is kept.
    """
    layout = _here(data_dir)
    if not assignments:
        raise InvalidInput("There is nothing to set.", field="NAME", remedy="Write NAME=VALUE.")
    return _change(layout, dict(_given(each, generate=generate) for each in assignments), (), output, approved=yes)


def unset_settings(*names: str, data_dir: Path | None = None, yes: Approved = False, output: Output = "text") -> int:
    """Have the deployment keep these settings no longer: their defaults hold; asks as `set` does.

    Args:
        names: of the variables.
        data_dir: where everything is kept.
    """
    layout = _here(data_dir)
    if not names:
        raise InvalidInput("There is nothing to unset.", field="NAME", remedy="Name a variable.")
    return _change(layout, {}, names, output, approved=yes)


def _here(data_dir: Path | None) -> Layout:
    layout = layout_of(data_dir)
    target = orchestrated.found(layout)
    if target is not None:
        raise ConfigurationError(
            f"The settings of this deployment are in its own files, in {target.folder}.",
            field="--data-dir",
            remedy="Docker Compose: edit pavo.env there; Kubernetes: the chart's values. Then: pavo deploy start",
        )
    return layout


def _given(assignment: str, *, generate: bool) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    setting_rules.check_names([name])
    if generate:
        if equals or name not in GENERATED:
            raise InvalidInput(
                f"{assignment!r} is not made by itself.", field="--generate", remedy=f"Name {' or '.join(GENERATED)}."
            )
        return name, GENERATED[name]()
    if equals and value != "-":
        return name, value
    if not equals and os.environ.get(name):
        return name, os.environ[name]
    if equals or not sys.stdin.isatty():
        return name, sys.stdin.readline().rstrip("\r\n")
    return name, getpass.getpass(f"{name}: ")


def _change(layout: Layout, given: dict[str, str], without: tuple[str, ...], output: Output, *, approved: bool) -> int:
    kept = kept_or_adopted(layout)
    after = changed(kept, given, without)
    printer = Printer(output)
    dangers = setting_rules.dangers(kept.values, after)
    for line in dangers:
        say(f"! {line}", to=console(stderr=True))
    if dangers and not confirm("Change this?", approved=approved):
        return 1
    if after != dict(kept.values):
        kept = kept_settings.save(layout, after, expected=kept.revision)
    names = [*given, *without]
    printer.show(_document(layout, kept), lambda: _tell(layout, kept, names))
    return 0


def _tell(layout: Layout, kept: KeptSettings, names: Sequence[str]) -> None:
    for name in names:
        value = kept.values.get(name)
        say(f"{name}={setting_rules.shown(name, value)}" if value is not None else f"{name} is not set")
    _tell_restarts(layout, names)


def _tell_restarts(layout: Layout, names: Sequence[str]) -> None:
    behind = not_in_force(layout)
    if not behind:
        return
    say(f"! Started before the last change: {', '.join(behind)}")
    if set(names) & set(NEED_A_NEW_START):
        say("  → pavo deploy stop, pavo deploy start")
    else:
        say("  → pavo deploy restart api, pavo deploy restart worker")


def _document(layout: Layout, kept: KeptSettings) -> dict[str, Any]:
    differences = setting_rules.differences(kept.values, os.environ)
    return {
        "revision": kept.revision,
        "changed_at": kept.changed_at,
        "settings": [
            {
                "name": name,
                "value": None if setting_rules.is_secret(name, value) else value,
                "secret": setting_rules.is_secret(name, value),
            }
            for name, value in sorted(kept.values.items())
        ],
        "differences": [each.name for each in differences],
        "not_in_force": not_in_force(layout),
    }


def _show(layout: Layout, kept: KeptSettings) -> None:
    rows = [(name, setting_rules.shown(name, value)) for name, value in sorted(kept.values.items())]
    if rows:
        table(("setting", "value"), rows)
    else:
        say("The deployment keeps no settings: all have their defaults (docs/configuration.md).")
    for each in setting_rules.differences(kept.values, os.environ):
        say(f"! {each.words}.")
    _tell_restarts(layout, list(kept.values))
