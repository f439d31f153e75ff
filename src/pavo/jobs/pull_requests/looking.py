"""One look at one pull request: its state, its new comments, and whether the job goes on for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from pavo.accounts.secrets.service import SecretService
from pavo.errors import ForgeDenied
from pavo.forges.asking import NotModified, Remembered
from pavo.forges.opening import open_forge
from pavo.forges.port import OPEN, Comment, Forge, PullRequest
from pavo.jobs.pull_requests.domain import MARGIN, feedback_of, seen_after, since_after, unseen, until_next
from pavo.jobs.pull_requests.repository import OpenPullRequest, Taken
from pavo.kit.texts.storable import storable

MAX_AUTHORS: Final = 20
"""Whose rights are asked for in one look; others have none."""
OPENED_BY: Final = "pavo:opened-by"
"""Under this name the account that opened the pull request is kept beside the marks of answers."""


@dataclass(frozen=True, slots=True)
class LookLimits:
    """How often, and how many."""

    seconds: float
    """Between two looks at a new one."""
    reviews: int
    """So often comments have a job go on."""


class Looking:
    """Belongs to one event loop.

    Args:
        client: that reaches checked addresses alone.
    """

    def __init__(self, client: httpx2.AsyncClient, secrets: SecretService, limits: LookLimits) -> None:
        self._client, self._secrets, self._limits = client, secrets, limits

    async def look(self, one: OpenPullRequest) -> Taken:
        """What is to be taken. Nothing is written.

        Raises:
            ForgeDenied, ForgeError, Unavailable, InvalidInput: the forge, or how it is reached.
        """
        known = dict(one.tags)
        opened_by = known.pop(OPENED_BY, "")
        remembered = Remembered(known)
        forge = await self._open(one, remembered)
        request = await _asked(forge, one.number)
        state = one.state if request is None else request.state
        opened_by = request.author if request is not None else opened_by
        since = None if one.since is None else one.since - MARGIN
        comments = await forge.comments(one.number, since) if state == OPEN else []
        fresh = unseen(comments, one.seen)
        meant = await self._meant(forge, one, [each for each in fresh if each.author != opened_by and not each.is_bot])
        dropped = len(meant) if one.reviews >= self._limits.reviews else 0
        meant = [] if dropped else meant
        return Taken(
            state,
            since_after(one.since, fresh),
            seen_after(one.seen, fresh),
            {**remembered.seen, OPENED_BY: opened_by},
            until_next(self._limits.seconds, one.state, state, one.quiet),
            feedback_of(meant) if meant else "",
            _by(one.forge, meant),
            dropped,
        )

    async def _open(self, one: OpenPullRequest, remembered: Remembered) -> Forge:
        token = ""
        if one.credential is not None:
            token = await self._secrets.value(one.organisation_id, one.credential) or ""
            if not token:
                raise ForgeDenied(f"The organisation has no secret {one.credential!r}.", remedy="Set it again.")
        given = {"forge_url": one.forge_url, "token": token}
        return open_forge(self._client, one.forge, one.clone_url, **given, remembered=remembered)

    async def _meant(self, forge: Forge, one: OpenPullRequest, fresh: Sequence[Comment]) -> list[Comment]:
        """Those that the job is to answer: nobody else has a say about what runs on the organisation's machines."""
        if not fresh or one.reviewers == "nobody":
            return []
        if one.reviewers == "anyone" and await forge.is_private():
            return list(fresh)
        rights = dict[str, bool]()
        for each in fresh:
            if each.is_member is None and each.author not in rights and len(rights) < MAX_AUTHORS:
                rights[each.author] = bool(each.author) and await forge.may_write(each.author)
        return [each for each in fresh if each.is_member or (each.is_member is None and rights.get(each.author))]


async def _asked(forge: Forge, number: int) -> PullRequest | None:
    """The pull request; None: it is as it was."""
    try:
        return await forge.get(number)
    except NotModified:
        return None


def _by(forge: str, meant: Sequence[Comment]) -> str:
    names = dict.fromkeys(storable(each.author, 100) for each in meant)
    return f"{', '.join(list(names)[:5])} at {forge}" if names else ""
