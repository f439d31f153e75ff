"""Puts the agent program together, and runs it until it is told to end."""

import asyncio
import logging
import shutil
import signal
from collections.abc import Mapping

from pavo.remote.agent import AgentProgram, state_of
from pavo.remote.commands.execute import Executing
from pavo.remote.commands.patches import Patches
from pavo.remote.commands.table import handlers
from pavo.remote.connection import GrpcGateway
from pavo.remote.errands.errand import GatewayCredentials
from pavo.remote.programs.profile import COMMAND, Profile, load_profiles
from pavo.remote.programs.sandbox import REMEDY, Sandboxes, found_here, refusal
from pavo.remote.settings import AgentSettings
from pavo.remote.workspaces import Workspaces, WorkspaceSettings

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
"""Between two looks for worktrees of attempts that are over."""


def available(profiles: Mapping[str, Profile], here: Sandboxes) -> tuple[str, ...]:
    """Names of those whose program is installed here, and can be confined as its profile wants."""
    found = (name for name, each in profiles.items() if name == COMMAND or shutil.which(each.program) is not None)
    return tuple(sorted(each for each in found if not not_confined(profiles[each], here)))


def not_confined(profile: Profile, here: Sandboxes) -> str:
    """Why a profile's program cannot be confined here as the profile wants; empty: it can."""
    return refusal(profile.sandbox, here, network=profile.network)


def run_agent(settings: AgentSettings, workspaces: WorkspaceSettings) -> None:
    """Run it. SIGTERM or Ctrl-C: its jobs are finished, then it ends; a second one ends it now.

    Raises:
        ConfigurationError: something that it was told is wrong.
        Conflict: another program uses the state directory.
        Refused: no gateway will have this agent.
    """
    profiles = load_profiles(settings.profiles)
    with state_of(settings.state):
        asyncio.run(_run(settings, workspaces, profiles))


async def _run(settings: AgentSettings, kept: WorkspaceSettings, profiles: Mapping[str, Profile]) -> None:
    here = await asyncio.to_thread(found_here)
    gateway = GrpcGateway(settings.address, settings.token, settings.ca)
    workspaces = Workspaces(kept)
    await asyncio.to_thread(workspaces.forget_sockets)
    credentials, patches = GatewayCredentials(gateway), Patches(workspaces, gateway)
    commands = handlers(Executing(workspaces, profiles, here, credentials, gateway, patches))
    program = AgentProgram(settings, gateway, commands, lambda: available(profiles, here), here.words)
    workspaces.room.known, workspaces.room.tell = program.dispatcher.standing, program.dispatcher.tell
    logger.info(
        "Agent %s: programs %s; confinement here: %s; capacity %d; state in %s",
        settings.name,
        ", ".join(available(profiles, here)),
        here.words,
        settings.capacity,
        settings.state,
    )
    for each in profiles.values():
        if why := not_confined(each, here):
            logger.warning("The program %s is not offered: %s. %s", each.name, why, REMEDY)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, program.stop)
    sweeping = asyncio.create_task(_sweep(workspaces, program))
    try:
        await program.run()
    finally:
        sweeping.cancel()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
        await asyncio.to_thread(workspaces.forget_sockets)


async def _sweep(workspaces: Workspaces, program: AgentProgram) -> None:
    """Keep the quota: worktrees of attempts that are over go, whoever forgot to say so."""
    while True:
        try:
            freed = await workspaces.make_room(program.dispatcher.standing())
        except Exception:
            logger.exception("Old worktrees could not be removed")
        else:
            if freed:
                logger.info("%s bytes of old worktrees were removed", f"{freed:,}")
        await asyncio.sleep(SWEEP_SECONDS)
