"""Use cases of an organisation's members. Who may call which is decided by the endpoints; the command line is an
operator, who may all.

Nobody is put into an organisation by somebody else's request: whoever an owner invites has to accept, and their home
stays where it was until they choose another. (An operator's invitation, `pavo org invite`, works at once.)
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pavo.accounts import repository as accounts
from pavo.accounts.domain import Identity, Membership, Role, hash_secret, normal_email
from pavo.accounts.models import InvitationLinkRow, InvitationRow
from pavo.accounts.organisations import repository
from pavo.accounts.organisations.domain import (
    INVITATION_LASTS,
    LINK_PREFIX,
    LONGEST_INVITATION,
    MAX_INVITATIONS,
    MAX_OWNED,
    Invitation,
    Member,
    OrganisationOfMine,
    organisation_name,
)
from pavo.errors import Conflict, InvalidInput, LastOwner, NotFound
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database, time_of


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation, and what is told of it this once."""

    invitation: Invitation
    created: bool
    """False: one that was open is renewed."""
    secret: str | None = None
    """Of a link; cannot be read again."""


class OrganisationService:
    """Organisations, members, roles, invitations.

    Args:
        database: Pavo's database.
        forget: called after what changes who may see what, so that nothing of before is believed any more.
    """

    def __init__(self, database: Database, forget: Callable[[], None]) -> None:
        self._database = database
        self._forget = forget

    async def mine(self, who: Identity) -> list[OrganisationOfMine]:
        """The user's organisations, in the order of joining."""
        async with self._database.reading() as session:
            return await repository.of_member(session, who.user_id)

    async def get(self, membership: Membership) -> OrganisationOfMine:
        """One of them."""
        async with self._database.reading() as session:
            return await self._get(session, membership)

    async def create(self, owner: Identity, name: str) -> OrganisationOfMine:
        """A new organisation, owned by the user; their home stays.

        Raises:
            InvalidInput: the name is none.
            Conflict: they own as many as they may.
        """
        wanted = organisation_name(name)
        async with self._database.transaction() as session:
            if await repository.owned(session, owner.user_id) >= MAX_OWNED:
                raise Conflict(f"You own {MAX_OWNED} organisations, as many as you may.", remedy="Use one of them.")
            organisation_id = await accounts.add_organisation(session, wanted)
            await accounts.add_member(session, organisation_id, owner.user_id, "owner")
            found = await self._get(session, Membership(organisation_id, owner.user_id, "owner"))
        self._forget()
        return found

    async def rename(self, membership: Membership, name: str) -> OrganisationOfMine:
        """Give the organisation another name.

        Raises:
            InvalidInput: it is none.
        """
        wanted = organisation_name(name)
        async with self._database.transaction() as session:
            await repository.rename(session, membership.organisation_id, wanted)
            return await self._get(session, membership)

    async def make_home(self, membership: Membership) -> None:
        """What the member creates from now on belongs to this organisation.

        Raises:
            NotFound: they are no member any more.
        """
        async with self._database.transaction() as session:
            # Who is removed at this moment must not keep their home where they are no member.
            await self._locked(session, membership.organisation_id, membership.user_id)
            await accounts.move_home(session, membership.user_id, membership.organisation_id)
        self._forget()

    async def members(self, organisation_id: uuid.UUID) -> list[Member]:
        """The members, in the order of joining."""
        async with self._database.reading() as session:
            return await repository.members(session, organisation_id)

    async def member_page(self, organisation_id: uuid.UUID, cursor: str | None, limit: int) -> Page[Member]:
        """The members in pages, in the order of joining.

        Raises:
            InvalidInput: the cursor is none of this API's.
        """
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            found = await repository.members(session, organisation_id, after, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], Cursor(last.joined_at, last.user_id).encode() if last else None)

    async def member_named(self, organisation_id: uuid.UUID, email: str) -> uuid.UUID:
        """The member with this address.

        Raises:
            NotFound: there is none.
        """
        async with self._database.reading() as session:
            found = await repository.member_by_email(session, organisation_id, normal_email(email))
        if found is None:
            raise _no_member()
        return found

    async def change_role(self, organisation_id: uuid.UUID, user_id: uuid.UUID, role: Role) -> Member:
        """Make a member an owner, or an owner a member.

        Raises:
            NotFound: there is no such member.
            LastOwner: the organisation would have no owner.
        """
        async with self._database.transaction() as session:
            found = await self._locked(session, organisation_id, user_id)
            if found.role == "owner" and role != "owner":
                await self._keep_an_owner(session, organisation_id)
            await repository.set_role(session, organisation_id, user_id, role)
            changed = await self._member(session, organisation_id, user_id)
        self._forget()
        return changed

    async def remove_member(self, organisation_id: uuid.UUID, user_id: uuid.UUID) -> None:
        """End a membership. Where the organisation was their home, another of theirs becomes that, or a new one.

        Raises:
            NotFound: there is no such member.
            LastOwner: the organisation would have no owner.
        """
        async with self._database.transaction() as session:
            found = await self._locked(session, organisation_id, user_id)
            if found.role == "owner":
                await self._keep_an_owner(session, organisation_id)
            await repository.remove_member(session, organisation_id, user_id)
            if await repository.home(session, user_id) == organisation_id:
                await self._move_out(session, found)
        self._forget()

    async def invitations(self, organisation_id: uuid.UUID) -> list[Invitation]:
        """Open invitations, oldest first, the expired among them."""
        async with self._database.reading() as session:
            return await repository.invitations_of(session, organisation_id)

    async def invite(
        self,
        owner: Membership,
        email: str | None,
        *,
        role: Role = "member",
        lasts: timedelta = INVITATION_LASTS,
    ) -> Invited:
        """Invite an address, or whoever gets the link. An address that is invited already gets more time.

        Args:
            email: None: a link, for one person.

        Raises:
            InvalidInput: the address or the time is none.
            Conflict: the address is a member's, or too many invitations are open.
        """
        if not timedelta(0) < lasts <= LONGEST_INVITATION:
            raise InvalidInput(
                f"An invitation lasts up to {LONGEST_INVITATION.days} days.",
                field="expires_in_seconds",
                remedy="Give less, and invite again when it has expired.",
            )
        address = None if email is None else normal_email(email)
        async with self._database.transaction() as session:
            await repository.lock(session, owner.organisation_id)
            if address and await repository.member_by_email(session, owner.organisation_id, address):
                raise Conflict(f"{address} is a member already.", field="email", remedy="Change their role instead.")
            if len(await repository.invitations_of(session, owner.organisation_id)) >= MAX_INVITATIONS:
                raise Conflict(f"{MAX_INVITATIONS} invitations are open.", remedy="Withdraw those that have expired.")
            ends = await time_of(session) + lasts
            terms: dict[str, Any] = {"role": role, "invited_by": owner.user_id, "expires_at": ends}
            secret, created = None, True
            if address is None:
                secret = LINK_PREFIX + secrets.token_urlsafe(32)
                found = await repository.add_link(session, owner.organisation_id, hash_secret(secret), **terms)
            else:
                found, created = await repository.invite(session, owner.organisation_id, address, **terms)
            return Invited(await repository.invitation(session, found), created, secret)

    async def withdraw(self, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> None:
        """Remove an invitation that nobody has accepted.

        Raises:
            NotFound: there is none.
        """
        async with self._database.transaction() as session:
            if not await repository.withdraw(session, organisation_id, invitation_id):
                raise _no_invitation()

    async def invitations_for(self, who: Identity) -> list[Invitation]:
        """What the user is invited to."""
        async with self._database.reading() as session:
            return await repository.invitations_for(session, who.email)

    async def accept(self, who: Identity, invitation_id: uuid.UUID) -> OrganisationOfMine:
        """Join by an invitation of one's own address; done twice, it changes nothing more.

        Raises:
            NotFound: there is none for this user.
            Conflict: it has expired, or was used and they have left since.
        """
        async with self._database.transaction() as session:
            found = await repository.lock_invitation(session, invitation_id, who.email)
            if found is None:
                raise _no_invitation()
            joined = await self._join(session, who, found, used=found.accepted_at is not None)
        self._forget()
        return joined

    async def accept_link(self, who: Identity, secret: str) -> OrganisationOfMine:
        """Join by the secret of a link; done twice by the same user, it changes nothing more.

        Raises:
            NotFound: there is no such link.
            Conflict: it has expired or is used up.
        """
        async with self._database.transaction() as session:
            found = await repository.lock_link(session, hash_secret(secret))
            if found is None:
                raise _no_invitation()
            joined = await self._join(session, who, found, used=found.accepted_at is not None)
            found.accepted_by = found.accepted_by or who.user_id
        self._forget()
        return joined

    async def decline(self, who: Identity, invitation_id: uuid.UUID) -> None:
        """Refuse an invitation of one's own address.

        Raises:
            NotFound: there is none for this user.
        """
        async with self._database.transaction() as session:
            found = await repository.lock_invitation(session, invitation_id, who.email)
            if found is None or found.accepted_at is not None:
                raise _no_invitation()
            await session.delete(found)

    async def _join(
        self, session: Any, who: Identity, found: InvitationRow | InvitationLinkRow, *, used: bool
    ) -> OrganisationOfMine:
        mine = await repository.of_member(session, who.user_id, found.organisation_id)
        if used:
            own = not isinstance(found, InvitationLinkRow) or found.accepted_by == who.user_id
            if mine and own:
                return mine[0]
            raise Conflict("This invitation is used up.", remedy="Ask an owner of the organisation for another.")
        moment = await time_of(session)
        if found.expires_at is not None and found.expires_at <= moment:
            raise Conflict("This invitation has expired.", remedy="Ask an owner of the organisation for another.")
        found.accepted_at = moment
        await accounts.add_member(session, found.organisation_id, who.user_id, found.role)
        return await self._get(session, Membership(found.organisation_id, who.user_id, found.role))

    async def _get(self, session: Any, membership: Membership) -> OrganisationOfMine:
        found = await repository.of_member(session, membership.user_id, membership.organisation_id)
        if not found:
            raise NotFound(
                "There is no such organisation.", field="organisation_id", remedy="List those that you are a member of."
            )
        return found[0]

    async def _member(self, session: Any, organisation_id: uuid.UUID, user_id: uuid.UUID) -> Member:
        found = await repository.member(session, organisation_id, user_id)
        if found is None:
            raise _no_member()
        return found

    async def _locked(self, session: Any, organisation_id: uuid.UUID, user_id: uuid.UUID) -> Member:
        await repository.lock(session, organisation_id)
        return await self._member(session, organisation_id, user_id)

    async def _keep_an_owner(self, session: Any, organisation_id: uuid.UUID) -> None:
        """Called before an owner is taken away, with the organisation locked."""
        if await repository.owners(session, organisation_id) <= 1:
            raise LastOwner(
                "This is the organisation's last owner.", field="user_id", remedy="Make another member an owner first."
            )

    async def _move_out(self, session: Any, member: Member) -> None:
        home = await repository.oldest_membership(session, member.user_id)
        if home is None:
            home = await accounts.add_organisation(session, member.email)
            await accounts.add_member(session, home, member.user_id, "owner")
        await accounts.move_home(session, member.user_id, home)


def _no_member() -> NotFound:
    return NotFound(
        "There is no such member of the organisation.",
        field="user_id",
        remedy="List its members; who is invited becomes one when first seen.",
    )


def _no_invitation() -> NotFound:
    return NotFound("There is no such invitation for you.", field="invitation", remedy="Ask an owner for another.")
