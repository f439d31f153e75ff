"""A pull request for a branch: an open one is updated, none is opened twice."""

from dataclasses import dataclass

from pavo.errors import AlreadyProposed
from pavo.forges.port import OPEN, Forge, Proposal, PullRequest


@dataclass(frozen=True, slots=True)
class Proposed:
    """What is at the forge then."""

    pull_request: PullRequest
    updated: bool
    """It was there."""


async def propose(forge: Forge, proposal: Proposal) -> Proposed:
    """Have a pull request for the proposal's branch.

    Forges take a second one for a branch whose first was merged, so all that ever had the branch are looked at first:
    the open one is updated; one that was merged or closed with this very commit is the answer to it.

    Raises:
        ForgeError, Unavailable: as the port says.
    """
    wanted = proposal.cut()
    if (found := await _known(forge, wanted)) is not None:
        return found
    try:
        return Proposed(await forge.create(wanted), updated=False)
    except AlreadyProposed:  # at the same moment, by another attempt
        if (found := await _known(forge, wanted)) is None:
            raise
        return found


async def _known(forge: Forge, wanted: Proposal) -> Proposed | None:
    found = await forge.find(wanted.head)
    if found and found[0].state == OPEN:
        return Proposed(await forge.update(found[0].number, wanted), updated=True)
    over = next((each for each in found if each.commit and each.commit == wanted.commit), None)
    return over and Proposed(over, updated=True)
