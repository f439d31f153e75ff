"""Whether a coding program has done its work: by its last word, never by its exit code alone."""

import re
from typing import Final

from pavo.remote.processes.contract import Ended
from pavo.remote.programs.dialects.happenings import Heard
from pavo.remote.programs.profile import Profile
from pavo.remote.programs.starting import Ran
from pavo.remote.work import CommandCancelled, CommandFailed, Work

_PASSING: Final = re.compile(
    r"\b(429|50[0-9]|52[0-9]|overloaded|rate.?limit|time[d]?.?out|connection|network|temporar\w+|unavailable)\b", re.I
)
"""In what it says of its failure: another try may go well."""


def judge(work: Work, profile: Profile, ran: Ran) -> None:
    """Whether it is done; whether it has changed anything is for git to tell.

    Raises:
        CommandCancelled: it was told to end.
        CommandFailed: it did not do its work.
    """
    if ran.ended.ended_by == "cancelled":
        raise CommandCancelled(ran.ended.killed)
    failed = _ended_badly(profile.name, ran.ended) or _said_badly(profile, ran.ended, ran.heard)
    if failed is not None:
        work.log(failed.detail, level="error")
        raise failed


def _ended_badly(name: str, ended: Ended) -> CommandFailed | None:
    """Where something else has ended it."""
    match ended.ended_by:
        case "not_started":
            remedy = "`pavo agent doctor` tells which programs can run on its machine."
            return CommandFailed(f"{name} could not be started: {ended.error}.", kind="NoProgram", remedy=remedy)
        case "timeout":
            remedy = "Give the job a larger option timeout_seconds, or a smaller task."
            return CommandFailed(
                f"{name} was ended after {ended.seconds:.0f} s.", kind="ProgramTimedOut", remedy=remedy
            )
        case "idle":
            detail = f"{name} printed nothing for so long that it was ended ({ended.seconds:.0f} s in all)."
            remedy = "Look whether its model answers; or give the job a larger option idle_seconds."
            return CommandFailed(detail, kind="ProgramIdle", remedy=remedy, retryable=True)
        case "output":
            return CommandFailed(f"{name} printed without end.", kind="ProgramFlooded", remedy="Look at the job's log.")
        case "supervisor_lost":
            detail = f"{name} was ended with what watches it, perhaps for lack of memory."
            return CommandFailed(
                detail, kind="ProgramLost", remedy="Give the agent's machine more memory.", retryable=True
            )
        case _:
            return None


def _said_badly(profile: Profile, ended: Ended, heard: Heard) -> CommandFailed | None:
    """By its own words; by its exit code where it has none."""
    name, code = profile.name, ended.exit_code
    if heard.error:
        again = _PASSING.search(heard.error) is not None
        remedy = "Look at the job's log, and at the program's key and model."
        return CommandFailed(f"{name} says: {heard.error[:1500]}", kind="ProgramFailed", remedy=remedy, retryable=again)
    if heard.is_done:
        return None
    if profile.needs_last_word:
        detail = f"{name} ended with exit code {code} without saying that it is done."
        return CommandFailed(detail, kind="ProgramFailed", remedy="Look at the job's log.")
    if code in profile.success_codes:
        return None
    last = heard.summary.splitlines()[-1][:300] if heard.summary else ""
    detail = f"{name} ended with exit code {code}: {last}" if last else f"{name} ended with exit code {code}."
    return CommandFailed(detail, kind="ProgramFailed", remedy="Look at the job's log.")
