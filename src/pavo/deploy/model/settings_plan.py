"""Which settings a start brings: those that the deployment keeps; a first start begins to keep those of its shell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.setting_rules import SettingDifference
from pavo.errors import Conflict


@dataclass(frozen=True, slots=True)
class SettingsPlan:
    """What holds for the parts, and where the shell says something else."""

    values: Mapping[str, str]
    revision: int | None
    """Of what is kept; None where nothing is yet, and this start begins it."""
    older: bool
    """Nothing is kept, and there are data: of a deployment from before settings were kept."""
    differences: tuple[SettingDifference, ...]
    unread: tuple[str, ...] = ()
    """What the shell says to Pavo and no part reads."""

    def changes(self) -> list[str]:
        """What a start does to the settings; for people."""
        names = ", ".join(sorted(self.values)) or "none"
        if self.revision is not None:
            return []
        if self.older:
            return [
                f"settings are kept from now on, those of this shell: {names}. Was this deployment started with others "
                "(PAVO_AUTH, PAVO_TEMPORAL_CODEC_KEY)? Then set them in the shell first, or it is opened or blinded"
            ]
        return [f"settings of this shell are kept: {names}"] if self.values else []

    def notes(self) -> list[str]:
        """What holds, and every difference; for people."""
        found: list[str] = []
        if self.revision is not None and self.values:
            shown = (f"{name}={setting_rules.shown(name, value)}" for name, value in sorted(self.values.items()))
            found.append(f"kept by the deployment: {', '.join(shown)}")
        found += [f"! {each.words}. Change it: pavo deploy set {each.name}" for each in self.differences]
        return found + unread_notes(self.unread)

    def public(self) -> dict[str, Any]:
        """For programs; no value of a secret."""
        return {
            "kept": {name: setting_rules.shown(name, value) for name, value in sorted(self.values.items())},
            "first": self.revision is None,
            "differences": [each.public() for each in self.differences],
            "unread": list(self.unread),
        }


@dataclass(frozen=True, slots=True)
class OwnFilesPlan:
    """Where a target keeps its settings in files of its own, of which the shell says something else."""

    place: str
    """Those files, for people."""
    differences: tuple[SettingDifference, ...]
    unread: tuple[str, ...]
    """What the shell says to Pavo and no part reads."""
    compared: bool = True
    """False: what the files say is not known here, and every setting of the shell is named."""

    def notes(self) -> list[str]:
        """Every difference; for people."""
        found = [
            each.words if self.compared else f"{each.name} of this shell is not read, what the files say holds"
            for each in self.differences
        ]
        return [f"! {words}. Change it: {self.place}" for words in found] + unread_notes(self.unread)

    def public(self) -> dict[str, Any]:
        """For programs; no value of a secret."""
        return {"differences": [each.public() for each in self.differences], "unread": list(self.unread)}


def plan_own_files(place: str, kept: Mapping[str, str] | None, environment: Mapping[str, str]) -> OwnFilesPlan:
    """Compare an environment with what a target's own files say.

    Args:
        kept: what they say; None where that is not known.
    """
    values = kept or {}
    differences = setting_rules.differences(values, environment)
    return OwnFilesPlan(place, differences, setting_rules.unread(environment, values), kept is not None)


def unread_notes(names: tuple[str, ...]) -> list[str]:
    """A line for each name that no part reads; for people."""
    return [f"! {name}: no part of Pavo reads it. {setting_rules.like(name)}".rstrip() for name in names]


def plan_settings(layout: Layout, environment: Mapping[str, str]) -> SettingsPlan:
    """Look at what is kept and at what an environment says; nothing is changed.

    A name that no part reads is refused where the environment is what begins to hold: misspelt, it would leave the
    deployment open. Where settings are kept it changes nothing, and a deployment whose shell has one, perhaps of a
    former version, comes back without anybody there: the plan names it.

    Raises:
        InvalidInput: nothing is kept yet, and the environment has a name that is meant for Pavo and that no part reads.
        ConfigurationError: what is kept cannot be read, or a variable has a value that its field does not take.
    """
    kept = kept_settings.load(layout)
    if kept is not None:
        differences = setting_rules.differences(kept.values, environment)
        unread = setting_rules.unread(environment, kept.values)
        return SettingsPlan(kept.values, kept.revision, older=False, differences=differences, unread=unread)
    setting_rules.refuse_unread(environment)
    values = setting_rules.of_shell(environment)
    for name, value in values.items():
        if name.startswith(setting_rules.KEPT_PREFIXES):  # what agents are given is as they need it
            setting_rules.check_value(name, value)
    if values:
        check_values(values)
    older = any((layout.root / name).exists() for name in ("deployment.json", "postgres", "temporal"))
    return SettingsPlan(values, None, older, ())


def check_values(values: Mapping[str, str]) -> None:
    """Refuse values with which no API or no worker would start.

    Raises:
        ConfigurationError: with the variable.
    """
    from pavo import config
    from pavo.accounts.origin import check_listener
    from pavo.accounts.secrets.sealing import KeyRing
    from pavo.usage.prices import PriceTable

    made = {"PAVO_SECRET_KEY": "x" * 48}  # the stack makes one where none is kept
    settings = config.load({**made, **values})
    check_listener(settings.http)
    KeyRing.of(settings.sealing)
    PriceTable.load(settings.usage.prices)
    if settings.temporal.codec_key is not None or settings.temporal.codec_token is not None:
        from pavo.temporal.client import codec_token, data_converter

        data_converter(settings.temporal)
        codec_token(settings.temporal)


def keep(layout: Layout, plan: SettingsPlan) -> None:
    """Begin to keep what was planned, before anything is started with it.

    Raises:
        Conflict: somebody has changed the settings since.
    """
    if plan.revision is None:
        kept_settings.save(layout, plan.values, expected=None)
        return
    now = kept_settings.load(layout)
    if now is None or now.revision != plan.revision:
        raise Conflict(
            "The deployment's settings were changed since this was planned.",
            field="--data-dir",
            remedy="Look at the plan again: pavo deploy start",
        )
