"""What an attempt has done reaches the server: a commit, a push, and a pull request where there is a forge."""

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2

from pavo.errors import ForgeError, InvalidInput, NoDifference, Unavailable
from pavo.forges.describing import Described, describe
from pavo.forges.opening import open_forge
from pavo.forges.port import CommitStatus, Forge, Proposal
from pavo.forges.proposing import Proposed, propose
from pavo.remote.commands.patches import Patches
from pavo.remote.errands.errand import FORGE, INFO, WARNING, Credential, CredentialRefused, CredentialsAway, Errand
from pavo.remote.errands.failures import CREDENTIAL_REFUSED, FORGE_AWAY, FORGE_REFUSED, failed
from pavo.remote.workspaces import Workspaces

CONNECT_SECONDS: Final = 10.0
STATUS_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to reach the server, and how."""

    clone_url: str
    forge: str
    """Empty: the branch is pushed, and nothing more."""
    forge_url: str
    base_branch: str
    branch: str
    push_branch: str
    """The branch, or the one of a lost attempt, for which no pull request is opened."""
    title: str
    body: str
    commit_message: str
    draft: bool
    status: CommitStatus | None = None
    """Shown beside the commit that was pushed."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """How that went."""

    commit: str
    """Empty: there was no difference, and nothing was pushed."""
    branch: str
    url: str
    number: int
    updated: bool


async def publish(workspaces: Workspaces, patches: Patches, errand: Errand, wanted: Publication) -> Publishing:
    """Commit what is left, push, and have a pull request. Done again, it finds what was done.

    Raises:
        CommandFailed: it was not published.
    """
    errand.check()
    workspace = workspaces.find(errand.job_id, errand.epoch)
    message = wanted.commit_message.strip() or wanted.title.strip() or wanted.branch
    found = await workspaces.commit(workspace, message, errand)
    if not found.changed:
        await errand.log("agent", INFO, f"Nothing differs from {wanted.base_branch}: there is nothing to publish.")
        return Publishing("", "", "", 0, updated=False)
    await patches.keep(workspace, found, errand)
    push_branch = wanted.push_branch or wanted.branch
    await workspaces.push(workspace, found.commit, push_branch, errand)
    if not wanted.forge or push_branch != wanted.branch:
        return Publishing(found.commit, push_branch, "", 0, updated=False)
    try:
        proposed = await _propose(errand, wanted, found.commit)
    except NoDifference as error:  # the base branch has it all by now
        await errand.log("agent", INFO, error.detail)
        return Publishing(found.commit, push_branch, "", 0, updated=False)
    pull = proposed.pull_request
    how = "was there and is updated" if proposed.updated else "is opened"
    await errand.log("agent", INFO, f"The pull request {how}: {pull.url} ({pull.state}).")
    return Publishing(found.commit, push_branch, pull.url, pull.number, proposed.updated)


async def _propose(errand: Errand, wanted: Publication, commit: str) -> Proposed:
    body = wanted.body.strip() or describe(Described(wanted.title, "", ()))
    proposal = Proposal(wanted.branch, wanted.base_branch, wanted.title, body, commit, wanted.draft)
    try:
        token = await _token(errand, urlsplit(wanted.forge_url or wanted.clone_url).netloc)
        timeout = httpx2.Timeout(30.0, connect=CONNECT_SECONDS)
        async with httpx2.AsyncClient(timeout=timeout) as client:
            forge = open_forge(client, wanted.forge, wanted.clone_url, forge_url=wanted.forge_url, token=token.password)
            proposed = await propose(forge, proposal)
            await _show_status(errand, forge, wanted, commit)
            return proposed
    except NoDifference:
        raise
    except (ForgeError, InvalidInput) as error:
        await errand.log("agent", WARNING, f"{error.detail} The branch {wanted.branch} is pushed.")
        remedy = f"{error.remedy or 'Look at the forge.'} The branch is pushed: its pull request can be opened by hand."
        raise failed(FORGE_REFUSED, error.detail, remedy) from error
    except Unavailable as error:
        raise failed(FORGE_AWAY, error.detail, error.remedy or "", retryable=True) from error


async def _show_status(errand: Errand, forge: Forge, wanted: Publication, commit: str) -> None:
    """Where the forge shows none (a token that may not, a forge that is away), that is told, and all else stays."""
    if wanted.status is None:
        return
    try:
        async with asyncio.timeout(STATUS_SECONDS):
            await forge.set_commit_status(commit, wanted.status)
    except (ForgeError, InvalidInput, Unavailable, TimeoutError) as error:
        why = getattr(error, "detail", "") or f"it did not answer within {STATUS_SECONDS:g} s."
        may = "The token needs the right to write statuses of commits, where they are wanted."
        told = f"The forge does not show {wanted.status.context} beside the commit: {why} {may}"
        await errand.log("agent", WARNING, told)
        return
    await errand.log("agent", INFO, f"Beside the commit: {wanted.status.context} is {wanted.status.state}.")


async def _token(errand: Errand, host: str) -> Credential:
    try:
        return await errand.credentials.ask(errand.job_id, errand.epoch, FORGE, host)
    except CredentialRefused as error:
        raise failed(CREDENTIAL_REFUSED, f"There is no credential for {host}: {error}", "Look at the job.") from error
    except CredentialsAway as error:
        raise failed(FORGE_AWAY, f"No gateway hands out the credential for {host}: {error}", retryable=True) from error
