"""Pavo's own processes: the API and the workers."""

import os
import sys
from collections.abc import Callable, Mapping

from pavo.deploy.local import liveness
from pavo.deploy.local.components.component import PlainComponent, inherited_environment
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.sealing_key import sealing_environment
from pavo.runs import worker_ends


class PavoProcess(PlainComponent):
    """`pavo api` or `pavo worker` with the stack's environment."""

    def __init__(self, layout: Layout, environment: Callable[[], Mapping[str, str]], address: str = "") -> None:
        self._layout, self._environment = layout, environment
        self.address = address
        self.greeting = liveness.HTTP if address else b""

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """The same program that was called, with this part's command."""
        told = {"TEMPORAL_CONFIG_FILE": os.devnull, worker_ends.VARIABLE: str(self._layout.worker_ends)}
        told["PAVO_DATA_DIR"] = str(self._layout.root)  # which no isolated agent reads
        settings = with_kept_settings(self._layout, self._environment())
        environment = {**settings, **sealing_environment(self._layout, settings), **told, **extra}
        command = [sys.executable, "-m", "pavo.cli.main", kind_of(name).name]
        return Launch(command, environment, self._layout.log(name), directory=self._layout.root, ready_line=True)


def with_kept_settings(layout: Layout, own: Mapping[str, str]) -> dict[str, str]:
    """The environment of Pavo's own processes: ours, but with the settings that the deployment keeps, and what the
    stack tells them. Read at each start, so that a change takes a restart of the part.

    Args:
        own: what the stack tells them; of this only the secret key that it made is replaced by one that is kept.
    """
    kept = kept_settings.load(layout)
    inherited = inherited_environment()
    if kept is None:
        return {**inherited, **own}
    settings = setting_rules.of_shell(inherited, kept.values)
    chosen = {name: kept.values[name] for name in ("PAVO_SECRET_KEY",) if name in kept.values}
    revision = {kept_settings.REVISION: str(kept.revision)}
    plain = {name: value for name, value in inherited.items() if name not in settings}
    return {**plain, **kept.values, **own, **chosen, **revision}
