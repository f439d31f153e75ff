"""Use cases of accounts: find out who somebody is, hand out and revoke tokens, invite people."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from pavo.accounts import repository
from pavo.accounts.cache import BriefCache
from pavo.accounts.domain import (
    DEV_EMAIL,
    MAX_TOKEN,
    TOKEN_PREFIX,
    Identity,
    Membership,
    OrganisationInfo,
    Session,
    TokenInfo,
    hash_secret,
    normal_email,
    parse_user_id,
    synthetic_email,
)
from pavo.accounts.organisations.service import OrganisationService
from pavo.accounts.own_tokens import CreatedToken, OwnTokenService, add_token, end_of_token
from pavo.config import HttpSettings
from pavo.errors import ConfigurationError, InvalidInput, NotAuthenticated, NotFound, Unavailable
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, time_of

if TYPE_CHECKING:
    from pavo.accounts.sessions import SessionSigner

log = logging.getLogger(__name__)

CACHE_SECONDS: Final = 5.0
"""How long another process's change (a revoked token, a new membership) may go unnoticed here. A change made through
this service is seen by it at once."""

CACHE_SIZE: Final = 10_000
"""Identities remembered at most: some 5 MB."""


class _LostRace(Exception):
    """Somebody else inserted the user first: roll back and read theirs."""


class AccountsService:
    """Who somebody is.

    Args:
        database: Pavo's database.
        settings: the mode of authentication and the key that signs session cookies.
        on_new_organisation: called once an organisation is made, after the commit.
    """

    def __init__(
        self,
        database: Database,
        settings: HttpSettings,
        on_new_organisation: Callable[[uuid.UUID], Awaitable[object]] | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._on_new_organisation = on_new_organisation
        self._known = BriefCache[Identity](CACHE_SECONDS, CACHE_SIZE)
        self._cookies = BriefCache[Session](CACHE_SECONDS, CACHE_SIZE)
        self.own_tokens = OwnTokenService(database, self._known.clear)
        """What members do with their API tokens."""
        self.organisations_of_members = OrganisationService(database, self._known.clear)
        """What members do with their organisations."""

    @property
    def mode(self) -> Literal["dev", "token"]:
        """dev or token: how people prove who they are."""
        return self._settings.auth

    @cached_property
    def _signer(self) -> "SessionSigner":
        # Imported here because a worker, and the command line beside it, install without the web server's extras.
        from pavo.accounts.sessions import SessionSigner

        return SessionSigner(self._signing_secret(), self._settings.auth)

    def _signing_secret(self) -> str:
        if self._settings.secret_key is not None:
            return self._settings.secret_key.get_secret_value()
        if self._settings.auth == "token":
            raise ConfigurationError("PAVO_AUTH=token needs PAVO_SECRET_KEY.", field="PAVO_SECRET_KEY")
        # In dev mode a cookie grants no more than an identity header does. All the key has to do is to stay the same
        # over a restart and to differ between two stacks, whose cookies a browser sends to both.
        url = self._database.engine.url
        return f"dev\0{url.database}\0{url.password}"

    async def identify_header(self, user_id: str | None, email: str | None) -> Identity | None:
        """Who the headers X-User-Id and X-User-Email (dev mode) name; a user is made on first sight.

        The id decides where both are given; the address is then used only for a new user. Without either: None.

        Raises:
            InvalidInput: the id is no UUID, or the address is none; `field` names the header.
        """
        address = normal_email(email, field="X-User-Email") if email else None
        if user_id:
            return await self._seen_id(parse_user_id(user_id), address)
        return None if address is None else await self.first_sight(address)

    async def default_identity(self) -> Identity:
        """Whom a request without identity acts as in dev mode."""
        return await self.first_sight(DEV_EMAIL)

    async def first_sight(self, email: str) -> Identity:
        """The user with this address, made if there is none: in the inviting organisation, or in one of their own.

        Raises:
            InvalidInput: it is no address.
        """
        address = normal_email(email)
        key, generation = ("email", address), self._known.generation
        found = self._known.get(key)
        if found is None:
            async with self._database.reading() as session:
                found = await repository.user_by_email(session, address)
            if found is None:
                found = await self._make_user(new_id(), address)
            self._known.put(key, found, generation)
        return found

    async def _seen_id(self, user_id: uuid.UUID, address: str | None) -> Identity:
        key, generation = ("id", user_id), self._known.generation
        found = self._known.get(key)
        if found is None:
            async with self._database.reading() as session:
                found = await repository.user_by_id(session, user_id)
                taken = address and not found and await repository.user_by_email(session, address)
            if found is None:
                own = address if address and not taken else synthetic_email(user_id)
                found = await self._make_user(user_id, own, by_id=True)
            self._known.put(key, found, generation)
        return found

    async def _make_user(self, user_id: uuid.UUID, email: str, *, by_id: bool = False) -> Identity:
        try:
            return await self._insert_user(user_id, email)
        except _LostRace:
            async with self._database.reading() as session:
                if by_id:
                    found = await repository.user_by_id(session, user_id)
                else:
                    found = await repository.user_by_email(session, email)
        if found is not None:
            return found
        # Another id has taken the address meanwhile. The caller asked for this id, so it gets an address of its own.
        return await self._insert_user(user_id, synthetic_email(user_id))

    async def _insert_user(self, user_id: uuid.UUID, email: str) -> Identity:
        async with self._database.transaction() as session:
            await repository.lock_email(session, email)
            inviting = await repository.pending_invitation(session, email)
            home = inviting or await repository.add_organisation(session, email)
            if not await repository.add_user(session, user_id, email, home):
                raise _LostRace
            await repository.add_member(session, home, user_id, "member" if inviting else "owner")
            await repository.accept_invitations(session, email, user_id)
            found = await repository.user_by_id(session, user_id)
        assert found is not None, "inserted in this very transaction"
        if inviting is None and self._on_new_organisation is not None:
            await self._on_new_organisation(home)
        return found

    async def identify_token(self, secret: str) -> Identity | None:
        """Whom this API token stands for; None if it is unknown, revoked or expired.

        A revoked token is refused at once by the process that revoked it, by others within CACHE_SECONDS.
        """
        if not _plausible(secret):
            return None
        hash_ = hash_secret(secret)
        return await self._by_token(("token", hash_), hash_=hash_)

    async def identify_session(self, cookie: str) -> Identity | None:
        """Whom this session cookie stands for; None if it is not ours, has expired, or its token has ended."""
        session = self._read(cookie)
        if session is None:
            return None
        assert session.until is not None, "it was read from a cookie"
        if session.token_id is not None:
            key = ("session", session.token_id, session.until)
            found = await self._by_token(key, id_=session.token_id, until=session.until)
        else:
            found = await self._in_session(session.user_id, session.until)
        return found and replace(found, session_until=session.until)

    def _read(self, cookie: str) -> Session | None:
        """Checking a signature takes 0.1 ms, as long as all the rest of a small request: not for each of them."""
        session = self._cookies.get(cookie)
        if session is None:
            session = self._signer.read(cookie)
            if session is not None:
                self._cookies.put(cookie, session, self._cookies.generation)
        return session

    async def _in_session(self, user_id: uuid.UUID, until: datetime) -> Identity | None:
        key, generation = ("session", user_id, until), self._known.generation
        known = self._known.get(key)
        if known is not None:
            return known
        async with self._database.reading() as session:
            found = await repository.user_in_session(session, user_id, until)
        if found is None:
            return None
        identity, ends_soon = found
        if not ends_soon:
            self._known.put(key, identity, generation)
        return identity

    async def _by_token(
        self,
        key: Hashable,
        *,
        hash_: str | None = None,
        id_: uuid.UUID | None = None,
        until: datetime | None = None,
    ) -> Identity | None:
        generation = self._known.generation
        known = self._known.get(key)
        if known is not None:
            return known
        async with self._database.reading() as session:
            live = await repository.live_token(session, hash_=hash_, id_=id_, until=until)
        if live is None:
            return None
        if not live.used_lately:
            await self._note_use(live.token_id)
        if not live.ends_soon:
            self._known.put(key, live.identity, generation)
        return live.identity

    async def _note_use(self, token_id: uuid.UUID) -> None:
        try:
            async with self._database.transaction() as session:
                await repository.note_use(session, token_id)
        except Unavailable:
            # A request that only reads must not fail because a full disk refuses this note.
            log.warning("could not note the use of an API token", extra={"token_id": str(token_id)}, exc_info=True)

    async def open_session(self, secret: str) -> tuple[Identity, str]:
        """Exchange an API token for a session cookie: who it is, and the cookie's value.

        Raises:
            NotAuthenticated: the token is unknown, revoked or expired.
        """
        async with self._database.reading() as session:
            live = await repository.live_token(session, hash_=hash_secret(secret)) if _plausible(secret) else None
            at = await time_of(session)
        if live is None:
            raise NotAuthenticated(
                "This token is unknown, revoked or expired.",
                field="token",
                remedy="Make a new one with: pavo token create EMAIL",
            )
        return live.identity, self._signer.write(Session(live.identity.user_id, live.token_id), at)

    async def open_dev_session(self, email: str) -> tuple[Identity, str]:
        """Dev mode: a session cookie for any address.

        Raises:
            InvalidInput: it is no address.
            NotAuthenticated: the mode is token.
        """
        if self._settings.auth != "dev":
            raise NotAuthenticated("An e-mail address proves nothing here.", remedy='Send {"token": "pavo_…"}.')
        identity = await self.first_sight(email)
        async with self._database.reading() as session:
            at = await time_of(session)
        return identity, self._signer.write(Session(identity.user_id, None), at)

    async def create_token(self, email: str, name: str, expires_in: timedelta | None = None) -> CreatedToken:
        """A new API token for the user with this address, who is made if there is none.

        Raises:
            InvalidInput: the address, the name or the time is none.
        """
        async with self._database.transaction() as session:
            expires_at = await end_of_token(session, expires_in)
        identity = await self.first_sight(email)
        async with self._database.transaction() as session:
            return await add_token(session, identity, name, expires_at)

    async def tokens(self, email: str | None = None) -> Sequence[TokenInfo]:
        """Every token, or those of one address, newest first."""
        address = None if email is None else normal_email(email)
        async with self._database.reading() as session:
            return await repository.tokens(session, address)

    async def revoke_token(self, reference: str) -> TokenInfo:
        """End the token with this id or shown prefix, and every session that it opened. Repeating changes nothing.

        Raises:
            NotFound: there is no such token.
            InvalidInput: several tokens share this prefix.
        """
        async with self._database.transaction() as session:
            found = await repository.tokens_named(session, _clean(reference))
            token_id = _only(found, "token", "Use the token's id; see: pavo token list")
            await repository.revoke_token(session, token_id)
            token = await repository.token(session, token_id)
        self._known.clear()
        return token

    async def invite(self, organisation_id: uuid.UUID, email: str) -> bool:
        """As an operator, let this address join the organisation, which becomes its home: on first sight, or now if it
        is known.

        Returns: True if the address joined now, False if it will on first sight.

        Raises:
            InvalidInput: it is no address.
        """
        address = normal_email(email)
        async with self._database.transaction() as session:
            await repository.lock_email(session, address)
            await repository.add_invitation(session, organisation_id, address)
            user = await repository.user_by_email(session, address)
            if user is not None:
                await repository.accept_invitations(session, address, user.user_id)
                await repository.move_home(session, user.user_id, organisation_id)
        self._known.clear()
        return user is not None

    async def organisations(self) -> Sequence[OrganisationInfo]:
        """Every organisation, oldest first."""
        async with self._database.reading() as session:
            return await repository.organisations(session)

    async def membership(self, who: Identity, organisation_id: uuid.UUID) -> Membership:
        """The user's place in this organisation.

        Raises:
            NotFound: there is no such organisation, or they are no member.
        """
        async with self._database.reading() as session:
            role = await repository.role(session, organisation_id, who.user_id)
        if role is None:
            raise NotFound(
                "There is no such organisation.", field="organisation_id", remedy="List those that you are a member of."
            )
        return Membership(organisation_id, who.user_id, role)

    async def organisation_named(self, reference: str) -> uuid.UUID:
        """The organisation with this id or name, or that is the home of this address.

        Raises:
            NotFound: there is none.
            InvalidInput: there are several.
        """
        async with self._database.reading() as session:
            found = await repository.organisations_named(session, _clean(reference))
        return _only(found, "organisation", "Use the organisation's id; see: pavo org list")


def _plausible(secret: str) -> bool:
    return secret.startswith(TOKEN_PREFIX) and len(secret) <= MAX_TOKEN


def _clean(reference: str) -> str:
    return reference.strip().replace("\0", "")


def _only(found: Sequence[uuid.UUID], kind: str, remedy: str) -> uuid.UUID:
    if not found:
        raise NotFound(f"There is no such {kind}.", field=kind, remedy=remedy)
    if len(found) > 1:
        raise InvalidInput(f"Several {kind}s go by this name.", field=kind, remedy=remedy)
    return found[0]
