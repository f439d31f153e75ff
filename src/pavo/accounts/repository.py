"""SQL of the accounts slice. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import DateTime, String, and_, case, cast, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity, OrganisationInfo, Role, Standing, TokenInfo
from pavo.accounts.models import ApiTokenRow, InvitationRow, MembershipRow, OrganisationRow, UserRow
from pavo.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that opens something now, and whom it stands for."""

    identity: Identity
    token_id: uuid.UUID
    ends_soon: bool
    """Whether it, or the session that shows it, expires within seconds."""
    used_lately: bool
    """Whether `last_used_at` is less than a minute old, so that it need not be written again."""


_ORGANISATIONS = (
    select(func.array_agg(aggregate_order_by(MembershipRow.organisation_id, MembershipRow.created_at)))
    .where(MembershipRow.user_id == UserRow.id)
    .correlate(UserRow)
    .scalar_subquery()
)
_IDENTITY = select(UserRow.id, UserRow.email, UserRow.organisation_id, _ORGANISATIONS)


def _identity(row: Sequence[Any]) -> Identity:
    return Identity(row[0], row[1], row[2], tuple(row[3] or ()))


async def user_by_id(session: AsyncSession, user_id: uuid.UUID) -> Identity | None:
    """Who has this id?"""
    row = (await session.execute(_IDENTITY.where(UserRow.id == user_id))).one_or_none()
    return None if row is None else _identity(row)


async def user_in_session(session: AsyncSession, user_id: uuid.UUID, until: datetime) -> tuple[Identity, bool] | None:
    """Who has this id, and whether the session ends within seconds; None for nobody, and after the session's end."""
    ends = literal(until, DateTime(timezone=True))
    query = _IDENTITY.add_columns(_ends_soon(ends)).where(UserRow.id == user_id, ends > func.pavo_now())
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (_identity(row), bool(row[4]))


async def user_by_email(session: AsyncSession, email: str) -> Identity | None:
    """Who has this address (in its normal spelling)?"""
    row = (await session.execute(_IDENTITY.where(UserRow.email == email))).one_or_none()
    return None if row is None else _identity(row)


def _ends_soon(until: Any) -> Any:
    return func.coalesce(until < func.pavo_now() + text("interval '5 seconds'"), False)


_USED_LATELY = func.coalesce(ApiTokenRow.last_used_at > func.pavo_now() - text("interval '1 minute'"), False)
_LIVE = and_(
    ApiTokenRow.revoked_at.is_(None),
    or_(ApiTokenRow.expires_at.is_(None), ApiTokenRow.expires_at > func.pavo_now()),
)
_TOKEN_IDENTITY = (
    _IDENTITY.add_columns(
        ApiTokenRow.id,
        ApiTokenRow.expires_at,
        _ends_soon(ApiTokenRow.expires_at),
        _USED_LATELY,
    )
    .join(ApiTokenRow, ApiTokenRow.user_id == UserRow.id)
    .where(_LIVE)
)


async def live_token(
    session: AsyncSession, *, hash_: str | None = None, id_: uuid.UUID | None = None, until: datetime | None = None
) -> LiveToken | None:
    """The token with this hash or this id, unless it is revoked or has expired.

    Args:
        until: the end of the session that shows it, if one does; none opens anything afterwards.
    """
    chosen = ApiTokenRow.hash == hash_ if hash_ is not None else ApiTokenRow.id == id_
    query = _TOKEN_IDENTITY.where(chosen)
    if until is not None:
        ends = literal(until, DateTime(timezone=True))
        query = query.add_columns(_ends_soon(ends)).where(ends > func.pavo_now())
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    identity = replace(_identity(row), token_id=row[4], token_expires_at=row[5])
    return LiveToken(identity, row[4], bool(row[6]) or (until is not None and bool(row[8])), bool(row[7]))


_STANDINGS: Final = text("""
SELECT CASE
    WHEN asked.token_id IS NOT NULL AND token.id IS NULL THEN 'the API token was revoked or has expired'
    WHEN asked.until <= pavo_now() THEN 'the session has ended'
    WHEN member.user_id IS NULL THEN 'you are no member of its organisation any more'
END
FROM unnest(CAST(:users AS uuid[]), CAST(:organisations AS uuid[]), CAST(:tokens AS uuid[]),
    CAST(:until AS timestamptz[])) WITH ORDINALITY AS asked (user_id, organisation_id, token_id, until, place)
LEFT JOIN memberships member ON member.user_id = asked.user_id AND member.organisation_id = asked.organisation_id
LEFT JOIN api_tokens token ON token.id = asked.token_id AND token.user_id = asked.user_id
    AND token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > pavo_now())
ORDER BY asked.place
""")


async def standings(session: AsyncSession, asked: Sequence[Standing]) -> Sequence[str | None]:
    """Why each of these may watch no more; None for those that may."""
    values = {
        "users": [each.user_id for each in asked],
        "organisations": [each.organisation_id for each in asked],
        "tokens": [each.token_id for each in asked],
        "until": [each.session_until for each in asked],
    }
    return (await session.scalars(_STANDINGS, values)).all()


async def note_use(session: AsyncSession, token_id: uuid.UUID) -> None:
    """Record that the token was used now, unless that was recorded a moment ago."""
    due = and_(ApiTokenRow.id == token_id, ~_USED_LATELY)
    await session.execute(update(ApiTokenRow).where(due).values(last_used_at=func.pavo_now()))


async def lock_email(session: AsyncSession, email: str) -> None:
    """Let only one transaction at a time decide about this address.

    Without it an invitation could miss a user who is made at the same moment: neither transaction sees the other's
    uncommitted row.
    """
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"pavo:email:{email}", 0))))


def _by_operator(email: str) -> Any:
    """Open invitations that need no acceptance. Those of owners do: nobody is put into a stranger's organisation, where
    strangers would see what they do."""
    return and_(InvitationRow.email == email, InvitationRow.accepted_at.is_(None), InvitationRow.invited_by.is_(None))


async def pending_invitation(session: AsyncSession, email: str) -> uuid.UUID | None:
    """The organisation into which an operator invited this address last, and that it has not joined yet."""
    statement = (
        select(InvitationRow.organisation_id)
        .where(_by_operator(email))
        .order_by(InvitationRow.created_at.desc())
        .limit(1)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def accept_invitations(session: AsyncSession, email: str, user_id: uuid.UUID) -> None:
    """Make the user a member of every organisation into which an operator invited this address."""
    statement = (
        update(InvitationRow)
        .where(_by_operator(email))
        .values(accepted_at=func.pavo_now())
        .returning(InvitationRow.organisation_id)
    )
    for organisation_id in (await session.execute(statement)).scalars().all():
        await add_member(session, organisation_id, user_id, "member")


async def add_organisation(session: AsyncSession, name: str) -> uuid.UUID:
    """A new organisation."""
    organisation_id = new_id()
    await session.execute(insert(OrganisationRow).values(id=organisation_id, name=name))
    return organisation_id


async def add_user(session: AsyncSession, user_id: uuid.UUID, email: str, organisation_id: uuid.UUID) -> bool:
    """Insert the user; False if the id or the address is there already."""
    statement = (
        insert(UserRow)
        .values(id=user_id, email=email, organisation_id=organisation_id)
        .on_conflict_do_nothing()
        .returning(UserRow.id)
    )
    return (await session.execute(statement)).scalar_one_or_none() is not None


async def add_member(session: AsyncSession, organisation_id: uuid.UUID, user_id: uuid.UUID, role: Role) -> None:
    """Make the user a member; one who is keeps their role."""
    values = {"organisation_id": organisation_id, "user_id": user_id, "role": role}
    await session.execute(insert(MembershipRow).values(values).on_conflict_do_nothing())


async def move_home(session: AsyncSession, user_id: uuid.UUID, organisation_id: uuid.UUID) -> None:
    """What the user creates from now on belongs to this organisation."""
    await session.execute(update(UserRow).where(UserRow.id == user_id).values(organisation_id=organisation_id))


async def add_invitation(session: AsyncSession, organisation_id: uuid.UUID, email: str) -> None:
    """Invite the address as an operator; an invitation that is there is renewed."""
    values = {"invited_by": None, "expires_at": None, "role": "member"}
    statement = insert(InvitationRow).values(id=new_id(), organisation_id=organisation_id, email=email, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["organisation_id", "email"],
            set_={**values, "accepted_at": None, "created_at": func.pavo_now()},
        )
    )


async def role(session: AsyncSession, organisation_id: uuid.UUID, user_id: uuid.UUID) -> Role | None:
    """The user's role in the organisation; None if they are no member."""
    mine = (MembershipRow.organisation_id == organisation_id, MembershipRow.user_id == user_id)
    return (await session.scalars(select(MembershipRow.role).where(*mine))).one_or_none()


async def organisations_named(session: AsyncSession, reference: str) -> Sequence[uuid.UUID]:
    """Organisations with this id or name, or whose home this address is; at most two, to tell one from several."""
    home = select(UserRow.organisation_id).where(UserRow.email == reference.lower())
    statement = select(OrganisationRow.id).where(
        or_(
            OrganisationRow.name == reference,
            cast(OrganisationRow.id, String) == reference.lower(),
            OrganisationRow.id.in_(home),
        )
    )
    return (await session.execute(statement.limit(2))).scalars().all()


async def organisations(session: AsyncSession) -> Sequence[OrganisationInfo]:
    """Every organisation with its members and open invitations, oldest first."""
    members = (
        select(func.array_agg(aggregate_order_by(UserRow.email, MembershipRow.created_at)))
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(MembershipRow.organisation_id == OrganisationRow.id)
        .correlate(OrganisationRow)
        .scalar_subquery()
    )
    invited = (
        select(func.array_agg(aggregate_order_by(InvitationRow.email, InvitationRow.created_at)))
        .where(InvitationRow.organisation_id == OrganisationRow.id, InvitationRow.accepted_at.is_(None))
        .correlate(OrganisationRow)
        .scalar_subquery()
    )
    nobody = cast([], ARRAY(String))
    statement = select(
        OrganisationRow.id,
        OrganisationRow.name,
        func.coalesce(members, nobody),
        func.coalesce(invited, nobody),
        OrganisationRow.created_at,
    ).order_by(OrganisationRow.created_at, OrganisationRow.id)
    rows = (await session.execute(statement)).all()
    return [OrganisationInfo(row[0], row[1], tuple(row[2]), tuple(row[3]), row[4]) for row in rows]


async def add_token(
    session: AsyncSession, user_id: uuid.UUID, name: str, prefix: str, hash_: str, expires_at: datetime | None
) -> uuid.UUID:
    """A new token of the user."""
    token_id = new_id()
    await session.execute(
        insert(ApiTokenRow).values(
            id=token_id, user_id=user_id, name=name, prefix=prefix, hash=hash_, expires_at=expires_at
        )
    )
    return token_id


_TOKEN = select(
    ApiTokenRow.id,
    UserRow.email,
    ApiTokenRow.name,
    ApiTokenRow.prefix,
    ApiTokenRow.created_at,
    ApiTokenRow.last_used_at,
    ApiTokenRow.expires_at,
    ApiTokenRow.revoked_at,
    case((ApiTokenRow.revoked_at.is_not(None), "revoked"), (_LIVE, "active"), else_="expired"),
).join(UserRow, UserRow.id == ApiTokenRow.user_id)


async def token(session: AsyncSession, token_id: uuid.UUID) -> TokenInfo:
    """The token with this id."""
    row = (await session.execute(_TOKEN.where(ApiTokenRow.id == token_id))).one()
    return TokenInfo(*row)


async def tokens(session: AsyncSession, email: str | None) -> Sequence[TokenInfo]:
    """Every token, or those of one address, newest first."""
    statement = _TOKEN.order_by(ApiTokenRow.created_at.desc(), ApiTokenRow.id.desc())
    if email is not None:
        statement = statement.where(UserRow.email == email)
    return [TokenInfo(*row) for row in (await session.execute(statement)).all()]


async def tokens_of(session: AsyncSession, user_id: uuid.UUID, newest: int) -> Sequence[TokenInfo]:
    """The user's tokens, newest first: so many, and all that open something."""
    order = ApiTokenRow.created_at.desc(), ApiTokenRow.id.desc()
    last = select(ApiTokenRow.id).where(ApiTokenRow.user_id == user_id).order_by(*order).limit(newest)
    statement = _TOKEN.where(ApiTokenRow.user_id == user_id, or_(_LIVE, ApiTokenRow.id.in_(last)))
    found = await session.execute(statement.order_by(*order))
    return [TokenInfo(*row) for row in found.all()]


async def count_live_tokens(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many tokens of the user open something now?"""
    return (await session.scalars(select(func.count()).where(ApiTokenRow.user_id == user_id, _LIVE))).one()


async def owner_of_token(session: AsyncSession, token_id: uuid.UUID) -> uuid.UUID | None:
    """Whose token is it?"""
    return (await session.scalars(select(ApiTokenRow.user_id).where(ApiTokenRow.id == token_id))).one_or_none()


async def tokens_named(session: AsyncSession, reference: str) -> Sequence[uuid.UUID]:
    """Tokens with this id or shown prefix; at most two, to tell one from several."""
    named = or_(cast(ApiTokenRow.id, String) == reference.lower(), ApiTokenRow.prefix == reference)
    return (await session.execute(select(ApiTokenRow.id).where(named).limit(2))).scalars().all()


async def revoke_token(session: AsyncSession, token_id: uuid.UUID) -> None:
    """End the token; one that is revoked keeps its time."""
    statement = (
        update(ApiTokenRow)
        .where(ApiTokenRow.id == token_id, ApiTokenRow.revoked_at.is_(None))
        .values(revoked_at=func.pavo_now())
    )
    await session.execute(statement)
