"""SQL of organisations, members and invitations. Every function works in its caller's session and commits nothing."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, literal, null, or_, select, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pavo.accounts.domain import Role
from pavo.accounts.models import InvitationLinkRow, InvitationRow, MembershipRow, OrganisationRow, UserRow
from pavo.accounts.organisations.domain import Invitation, Member, OrganisationOfMine
from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor

_MEMBERS = (
    select(func.count()).where(MembershipRow.organisation_id == OrganisationRow.id).correlate(OrganisationRow)
).scalar_subquery()


async def of_member(
    session: AsyncSession, user_id: uuid.UUID, organisation_id: uuid.UUID | None = None
) -> list[OrganisationOfMine]:
    """The organisations that the user is a member of, in the order of joining; or one of them."""
    mine = aliased(MembershipRow)
    statement = (
        select(
            OrganisationRow.id,
            OrganisationRow.name,
            mine.role,
            UserRow.organisation_id == OrganisationRow.id,
            _MEMBERS,
            OrganisationRow.created_at,
        )
        .join(mine, mine.organisation_id == OrganisationRow.id)
        .join(UserRow, UserRow.id == mine.user_id)
        .where(mine.user_id == user_id)
        .order_by(mine.created_at, OrganisationRow.id)
    )
    if organisation_id is not None:
        statement = statement.where(OrganisationRow.id == organisation_id)
    return [OrganisationOfMine(*row) for row in (await session.execute(statement)).all()]


async def lock(session: AsyncSession, organisation_id: uuid.UUID) -> None:
    """Let only one transaction at a time change who is in the organisation: two owners may leave at once."""
    statement = select(OrganisationRow.id).where(OrganisationRow.id == organisation_id)
    await session.execute(statement.with_for_update(key_share=True))


async def rename(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> None:
    """Give it another name."""
    await session.execute(update(OrganisationRow).where(OrganisationRow.id == organisation_id).values(name=name))


async def owned(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many organisations does the user own?"""
    statement = select(func.count()).where(MembershipRow.user_id == user_id, MembershipRow.role == "owner")
    return (await session.scalars(statement)).one()


_MEMBER = select(UserRow.id, UserRow.email, MembershipRow.role, MembershipRow.created_at).join(
    MembershipRow, MembershipRow.user_id == UserRow.id
)


async def members(
    session: AsyncSession, organisation_id: uuid.UUID, after: Cursor | None = None, limit: int | None = None
) -> list[Member]:
    """The organisation's members, in the order of joining; all of them, or so many after those of a page before."""
    statement = _MEMBER.where(MembershipRow.organisation_id == organisation_id).limit(limit)
    if after is not None:
        place = tuple_(MembershipRow.created_at, UserRow.id)
        statement = statement.where(place > (after.created_at, after.id))
    found = (await session.execute(statement.order_by(MembershipRow.created_at, UserRow.id))).all()
    return [Member(*row) for row in found]


async def member(session: AsyncSession, organisation_id: uuid.UUID, user_id: uuid.UUID) -> Member | None:
    """One member."""
    statement = _MEMBER.where(MembershipRow.organisation_id == organisation_id, UserRow.id == user_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Member(*row)


async def member_by_email(session: AsyncSession, organisation_id: uuid.UUID, email: str) -> uuid.UUID | None:
    """The member with this address."""
    statement = _MEMBER.where(MembershipRow.organisation_id == organisation_id, UserRow.email == email)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else row[0]


async def owners(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many owners does it have?"""
    mine = (MembershipRow.organisation_id == organisation_id, MembershipRow.role == "owner")
    return (await session.scalars(select(func.count()).where(*mine))).one()


async def set_role(session: AsyncSession, organisation_id: uuid.UUID, user_id: uuid.UUID, role: Role) -> None:
    """Give a member another role."""
    place = (MembershipRow.organisation_id == organisation_id, MembershipRow.user_id == user_id)
    await session.execute(update(MembershipRow).where(*place).values(role=role))


async def remove_member(session: AsyncSession, organisation_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """End a membership."""
    place = (MembershipRow.organisation_id == organisation_id, MembershipRow.user_id == user_id)
    await session.execute(delete(MembershipRow).where(*place))


async def home(session: AsyncSession, user_id: uuid.UUID) -> uuid.UUID:
    """The user's home organisation."""
    return (await session.scalars(select(UserRow.organisation_id).where(UserRow.id == user_id))).one()


async def oldest_membership(session: AsyncSession, user_id: uuid.UUID) -> uuid.UUID | None:
    """The organisation that the user joined first, of those that they are still in; an own one before others."""
    statement = (
        select(MembershipRow.organisation_id)
        .where(MembershipRow.user_id == user_id)
        .order_by(MembershipRow.role != "owner", MembershipRow.created_at)
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


_INVITER = select(UserRow.email).where(UserRow.id == InvitationRow.invited_by).correlate(InvitationRow)
_LINK_INVITER = select(UserRow.email).where(UserRow.id == InvitationLinkRow.invited_by).correlate(InvitationLinkRow)


def _invitations(*conditions: Any) -> Any:
    return (
        select(
            InvitationRow.id,
            InvitationRow.organisation_id,
            OrganisationRow.name,
            literal("email"),
            InvitationRow.email,
            InvitationRow.role,
            _INVITER.scalar_subquery(),
            InvitationRow.created_at.label("created_at"),
            InvitationRow.expires_at,
            func.coalesce(InvitationRow.expires_at <= func.pavo_now(), False),
        )
        .join(OrganisationRow, OrganisationRow.id == InvitationRow.organisation_id)
        .where(InvitationRow.accepted_at.is_(None), *conditions)
    )


def _links(*conditions: Any) -> Any:
    return (
        select(
            InvitationLinkRow.id,
            InvitationLinkRow.organisation_id,
            OrganisationRow.name,
            literal("link"),
            null(),
            InvitationLinkRow.role,
            _LINK_INVITER.scalar_subquery(),
            InvitationLinkRow.created_at.label("created_at"),
            InvitationLinkRow.expires_at,
            InvitationLinkRow.expires_at <= func.pavo_now(),
        )
        .join(OrganisationRow, OrganisationRow.id == InvitationLinkRow.organisation_id)
        .where(InvitationLinkRow.accepted_at.is_(None), *conditions)
    )


async def invitations_of(session: AsyncSession, organisation_id: uuid.UUID) -> list[Invitation]:
    """The organisation's open invitations of both kinds, oldest first; expired ones too."""
    both = union_all(
        _invitations(InvitationRow.organisation_id == organisation_id),
        _links(InvitationLinkRow.organisation_id == organisation_id),
    )
    rows = (await session.execute(both.order_by("created_at"))).all()
    return [Invitation(*row) for row in rows]


async def invitations_for(session: AsyncSession, email: str) -> list[Invitation]:
    """Open invitations of this address that have not expired, oldest first."""
    lives = or_(InvitationRow.expires_at.is_(None), InvitationRow.expires_at > func.pavo_now())
    statement = _invitations(InvitationRow.email == email, lives).order_by(InvitationRow.created_at)
    return [Invitation(*row) for row in (await session.execute(statement)).all()]


async def invitation(session: AsyncSession, invitation_id: uuid.UUID) -> Invitation:
    """An open invitation of either kind."""
    both = union_all(_invitations(InvitationRow.id == invitation_id), _links(InvitationLinkRow.id == invitation_id))
    return Invitation(*(await session.execute(both)).one())


async def invite(
    session: AsyncSession,
    organisation_id: uuid.UUID,
    email: str,
    *,
    role: Role,
    invited_by: uuid.UUID,
    expires_at: datetime,
) -> tuple[uuid.UUID, bool]:
    """Invite the address: the invitation's id, and whether it is new. One that is open is renewed."""
    mine = (InvitationRow.organisation_id == organisation_id, InvitationRow.email == email)
    was_open = exists().where(*mine, InvitationRow.accepted_at.is_(None))
    renewed = (await session.scalars(select(was_open))).one()
    values = {"role": role, "invited_by": invited_by, "expires_at": expires_at}
    statement = insert(InvitationRow).values(id=new_id(), organisation_id=organisation_id, email=email, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["organisation_id", "email"], set_={**values, "accepted_at": None, "created_at": func.pavo_now()}
    )
    return (await session.scalars(statement.returning(InvitationRow.id))).one(), not renewed


async def add_link(
    session: AsyncSession,
    organisation_id: uuid.UUID,
    hash_: str,
    *,
    role: Role,
    invited_by: uuid.UUID,
    expires_at: datetime,
) -> uuid.UUID:
    """A new invitation for whoever has the secret with this hash, once."""
    values = {"organisation_id": organisation_id, "hash": hash_, "role": role, "invited_by": invited_by}
    statement = insert(InvitationLinkRow).values(id=new_id(), expires_at=expires_at, **values)
    return (await session.scalars(statement.returning(InvitationLinkRow.id))).one()


async def withdraw(session: AsyncSession, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> bool:
    """Remove an open invitation of either kind; False if there is none."""
    gone = 0
    for row in (InvitationRow, InvitationLinkRow):
        mine = (row.organisation_id == organisation_id, row.id == invitation_id, row.accepted_at.is_(None))
        gone += len((await session.scalars(delete(row).where(*mine).returning(row.id))).all())
    return gone > 0


async def lock_invitation(session: AsyncSession, invitation_id: uuid.UUID, email: str) -> InvitationRow | None:
    """The invitation of this address, open or not; nobody else answers it meanwhile."""
    statement = select(InvitationRow).where(InvitationRow.id == invitation_id, InvitationRow.email == email)
    return (await session.scalars(statement.with_for_update())).one_or_none()


async def lock_link(session: AsyncSession, hash_: str) -> InvitationLinkRow | None:
    """The invitation whose secret has this hash, used or not; nobody else uses it meanwhile."""
    statement = select(InvitationLinkRow).where(InvitationLinkRow.hash == hash_)
    return (await session.scalars(statement.with_for_update())).one_or_none()
