"""Who somebody is, against a real database. Each test makes its own people, so that they share the database."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from pavo.accounts import own_tokens
from pavo.accounts.cache import BriefCache
from pavo.accounts.domain import MAX_TOKEN, SHOWN_PREFIX, Identity
from pavo.accounts.models import ApiTokenRow, OrganisationRow, UserRow
from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.errors import ConfigurationError, InvalidInput, NotAuthenticated, NotFound
from pavo.kit.clock import now
from pavo.kit.sql import Database

SECRET = "a secret of more than thirty-two characters"


def dev(database: Database) -> AccountsService:
    """A service in dev mode with a cache of its own, as another process would have."""
    return AccountsService(database, HttpSettings.model_validate({"auth": "dev"}))


def token_mode(database: Database) -> AccountsService:
    return AccountsService(database, HttpSettings.model_validate({"auth": "token", "secret_key": SECRET}))


def somebody() -> str:
    return f"{uuid.uuid4().hex}@example.com"


async def test_an_address_gets_its_own_organisation_on_first_sight(database: Database) -> None:
    accounts, email = dev(database), somebody()
    ada = await accounts.identify_header(None, email.upper())
    other = await accounts.identify_header(None, somebody())
    assert ada is not None
    assert other is not None
    assert ada.email == email
    assert ada.organisation_ids == (ada.organisation_id,)
    assert other.organisation_id not in ada.organisation_ids
    assert await dev(database).identify_header(None, email) == ada
    assert await accounts.identify_header(str(ada.user_id), None) == ada


async def test_no_header_is_nobody(database: Database) -> None:
    assert await dev(database).identify_header(None, None) is None
    assert await dev(database).identify_header("", "") is None


async def test_an_unknown_id_is_a_new_user(database: Database) -> None:
    user_id = uuid.uuid4()
    found = await dev(database).identify_header(str(user_id), None)
    assert found is not None
    assert found.user_id == user_id
    assert found.email == f"user-{user_id}@dev.invalid"
    assert await dev(database).identify_header(str(user_id), None) == found


async def test_an_id_decides_over_an_address(database: Database) -> None:
    accounts, email = dev(database), somebody()
    first = await accounts.identify_header(str(uuid.uuid4()), email)
    second = await accounts.identify_header(str(uuid.uuid4()), email)
    assert first is not None
    assert second is not None
    assert first.email == email
    assert second.email == f"user-{second.user_id}@dev.invalid"
    assert first.organisation_id != second.organisation_id


@pytest.mark.parametrize(("user_id", "email", "field"), [("7", None, "X-User-Id"), (None, "ada", "X-User-Email")])
async def test_malformed_headers_name_themselves(
    database: Database, user_id: str | None, email: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await dev(database).identify_header(user_id, email)
    assert refused.value.field == field


async def test_concurrent_first_sights_make_one_user(database: Database) -> None:
    email, user_id = somebody(), str(uuid.uuid4())
    processes = [dev(database) for _ in range(12)]
    seen = await asyncio.gather(*(process.identify_header(None, email) for process in processes))
    assert len(set(seen)) == 1
    seen = await asyncio.gather(*(process.identify_header(user_id, None) for process in processes))
    assert len(set(seen)) == 1
    names = (email, f"user-{user_id}@dev.invalid")
    async with database.reading() as session:
        homes = await session.execute(select(OrganisationRow.name).where(OrganisationRow.name.in_(names)))
    assert sorted(homes.scalars()) == sorted(names)  # and no organisation is left over from a lost race


async def test_concurrent_ids_with_one_address(database: Database) -> None:
    email, ids = somebody(), [str(uuid.uuid4()) for _ in range(8)]
    seen = await asyncio.gather(*(dev(database).identify_header(user_id, email) for user_id in ids))
    found = [identity for identity in seen if identity is not None]
    assert [str(identity.user_id) for identity in found] == ids
    assert sum(identity.email == email for identity in found) == 1


async def test_a_token_is_shown_once_and_stored_hashed(database: Database) -> None:
    accounts, email = token_mode(database), somebody()
    created = await accounts.create_token(email, "laptop")
    assert created.secret[:SHOWN_PREFIX] == created.token.prefix
    async with database.reading() as session:
        row = (await session.execute(select(ApiTokenRow).where(ApiTokenRow.id == created.token.id))).scalar_one()
    stored = " ".join(str(value) for value in vars(row).values())
    assert created.secret[SHOWN_PREFIX:] not in stored
    (listed,) = await accounts.tokens(email.upper())
    assert listed == created.token
    assert listed.state == "active"
    assert created.secret not in repr(listed)


async def test_a_list_of_tokens_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_tokens, "SHOWN_TOKENS", 3)
    accounts, email = token_mode(database), somebody()
    made = [await accounts.create_token(email, str(number)) for number in range(6)]
    for each in made[1:]:
        await accounts.revoke_token(str(each.token.id))
    shown = await accounts.own_tokens.mine(await accounts.first_sight(email))
    assert [(each.name, each.state) for each in shown] == [
        *((str(number), "revoked") for number in (5, 4, 3)),
        ("0", "active"),
    ]


async def test_a_token_stands_for_its_user(database: Database) -> None:
    accounts, email = token_mode(database), somebody()
    created = await accounts.create_token(email, "laptop")
    found = await accounts.identify_token(created.secret)
    assert found == await accounts.first_sight(email)
    (listed,) = await accounts.tokens(email)
    assert listed.last_used_at is not None
    await token_mode(database).identify_token(created.secret)
    assert (await accounts.tokens(email))[0].last_used_at == listed.last_used_at  # written once a minute


@pytest.mark.parametrize("change", ["x", "\0", "ä", "\ud800", " "])
async def test_another_secret_is_nobody(database: Database, change: str) -> None:
    accounts = token_mode(database)
    secret = (await accounts.create_token(somebody(), "laptop")).secret
    for other in (secret + change, secret[:-1] + change, change, "", secret.upper(), "pavo_" + "x" * MAX_TOKEN):
        assert await accounts.identify_token(other) is None


async def test_a_revoked_token_ends_with_its_sessions_at_once(database: Database) -> None:
    accounts = token_mode(database)
    created = await accounts.create_token(somebody(), "laptop")
    identity, cookie = await accounts.open_session(created.secret)
    assert await accounts.identify_token(created.secret) == identity
    assert await accounts.identify_session(cookie) == identity
    revoked = await accounts.revoke_token(created.token.prefix)
    assert revoked.state == "revoked"
    assert await accounts.identify_token(created.secret) is None
    assert await accounts.identify_session(cookie) is None
    with pytest.raises(NotAuthenticated):
        await accounts.open_session(created.secret)
    assert (await accounts.revoke_token(str(created.token.id))).revoked_at == revoked.revoked_at


async def test_a_token_revoked_elsewhere_is_forgotten_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr("pavo.accounts.service.CACHE_SECONDS", 5.0)
    here, there = token_mode(database), token_mode(database)
    monkeypatch.setattr(here, "_known", BriefCache[Identity](5.0, 10, lambda: seconds[0]))
    created = await here.create_token(somebody(), "laptop")
    assert await here.identify_token(created.secret) is not None
    await there.revoke_token(str(created.token.id))
    seconds[0] = 4.9
    assert await here.identify_token(created.secret) is not None
    seconds[0] = 5.0
    assert await here.identify_token(created.secret) is None


async def test_an_expired_token_is_nobody(database: Database) -> None:
    accounts = token_mode(database)
    created = await accounts.create_token(somebody(), "laptop", timedelta(hours=1))
    _, cookie = await accounts.open_session(created.secret)
    assert await accounts.identify_session(cookie) is not None
    past = now() - timedelta(seconds=1)
    async with database.transaction() as session:
        expire = update(ApiTokenRow).where(ApiTokenRow.id == created.token.id).values(expires_at=past)
        await session.execute(expire)
    elsewhere = token_mode(database)
    assert await elsewhere.identify_token(created.secret) is None
    assert await elsewhere.identify_session(cookie) is None
    assert (await accounts.tokens(created.token.email))[0].state == "expired"


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta(days=4000)])
async def test_odd_lives_of_tokens(database: Database, expires: timedelta) -> None:
    with pytest.raises(InvalidInput):
        await token_mode(database).create_token(somebody(), "laptop", expires)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\0b", "a\nb"])
async def test_odd_names_of_tokens(database: Database, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await token_mode(database).create_token(somebody(), name)
    assert refused.value.field == "name"


async def test_unknown_and_ambiguous_references(database: Database) -> None:
    accounts = token_mode(database)
    for reference in ("", "x", "\0", str(uuid.uuid4())):
        with pytest.raises(NotFound):
            await accounts.revoke_token(reference)
        with pytest.raises(NotFound):
            await accounts.organisation_named(reference)
    one, two = await accounts.create_token(somebody(), "a"), await accounts.create_token(somebody(), "b")
    async with database.transaction() as session:
        same = update(ApiTokenRow).where(ApiTokenRow.id == two.token.id).values(prefix=one.token.prefix)
        await session.execute(same)
    with pytest.raises(InvalidInput):
        await accounts.revoke_token(one.token.prefix)


async def test_a_dev_session_needs_no_token_and_is_worth_nothing_elsewhere(database: Database) -> None:
    email = somebody()
    settings = {"auth": "dev", "secret_key": SECRET}
    accounts = AccountsService(database, HttpSettings.model_validate(settings))
    identity, cookie = await accounts.open_dev_session(email)
    assert identity.email == email
    assert await accounts.identify_session(cookie) == identity
    assert await token_mode(database).identify_session(cookie) is None
    with pytest.raises(NotAuthenticated):
        await token_mode(database).open_dev_session(email)


async def test_dev_sessions_survive_a_restart_without_a_key(database: Database) -> None:
    _, cookie = await dev(database).open_dev_session(somebody())
    assert await dev(database).identify_session(cookie) is not None
    with pytest.raises(ConfigurationError):
        await AccountsService(database, HttpSettings.model_validate({"auth": "token"})).identify_session(cookie)


async def test_a_session_of_a_user_who_is_gone_is_nobody(database: Database) -> None:
    accounts, email = dev(database), somebody()
    identity, cookie = await accounts.open_dev_session(email)
    async with database.transaction() as session:
        row = (await session.execute(select(UserRow).where(UserRow.id == identity.user_id))).scalar_one()
        await session.delete(row)
    assert await dev(database).identify_session(cookie) is None


async def test_who_is_invited_joins_on_first_sight(database: Database) -> None:
    accounts, bob = dev(database), somebody()
    ada = await accounts.first_sight(somebody())
    assert await accounts.invite(ada.organisation_id, bob.upper()) is False
    (organisation,) = [one for one in await accounts.organisations() if one.id == ada.organisation_id]
    assert (organisation.members, organisation.invited) == ((ada.email,), (bob,))
    joined = await accounts.first_sight(bob)
    assert joined.organisation_ids == (ada.organisation_id,) == (joined.organisation_id,)
    (organisation,) = [one for one in await accounts.organisations() if one.id == ada.organisation_id]
    assert (organisation.members, organisation.invited) == ((ada.email, bob), ())


async def test_who_is_known_joins_at_once_and_keeps_the_old_organisation(database: Database) -> None:
    accounts = dev(database)
    ada, bob = await accounts.first_sight(somebody()), await accounts.first_sight(somebody())
    assert await accounts.invite(ada.organisation_id, bob.email) is True
    moved = await accounts.first_sight(bob.email)
    assert moved.organisation_id == ada.organisation_id
    assert set(moved.organisation_ids) == {ada.organisation_id, bob.organisation_id}
    assert await accounts.first_sight(ada.email) == ada  # nothing of Bob's becomes Ada's
    assert await accounts.invite(ada.organisation_id, bob.email) is True
    assert await accounts.first_sight(bob.email) == moved


async def test_an_invitation_that_races_the_first_sight_arrives(database: Database) -> None:
    accounts = dev(database)
    ada = await accounts.first_sight(somebody())
    for _ in range(10):
        bob = somebody()
        await asyncio.gather(accounts.invite(ada.organisation_id, bob), dev(database).first_sight(bob))
        assert (await dev(database).first_sight(bob)).organisation_id == ada.organisation_id


async def test_organisations_are_found_by_id_name_and_member(database: Database) -> None:
    accounts = dev(database)
    ada, bob = await accounts.first_sight(somebody()), somebody()
    await accounts.invite(ada.organisation_id, bob)
    await accounts.first_sight(bob)
    for reference in (str(ada.organisation_id), ada.email, bob, bob.upper()):
        assert await accounts.organisation_named(reference) == ada.organisation_id


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user_id=st.none() | st.text(max_size=40), email=st.none() | st.text(max_size=40), secret=st.text(max_size=60))
async def test_no_credential_breaks_it(database: Database, user_id: str | None, email: str | None, secret: str) -> None:
    accounts = dev(database)
    try:
        await accounts.identify_header(user_id, email)
    except InvalidInput as error:
        assert error.field in ("X-User-Id", "X-User-Email")
    assert await accounts.identify_token(secret) is None
    assert await accounts.identify_token(f"pavo_{secret}") is None
    assert await accounts.identify_session(secret) is None


def test_the_cache_forgets() -> None:
    seconds = [0.0]
    cache = BriefCache[str](5.0, 2, lambda: seconds[0])
    for name in ("a", "b", "c"):
        cache.put(name, name, cache.generation)
    assert [cache.get(name) for name in ("a", "b", "c")] == [None, "b", "c"]
    older = cache.generation
    cache.clear()
    cache.put("late", "looked up before the change", older)
    assert cache.get("late") is None
    cache.put("b", "b", cache.generation)
    seconds[0] = 5.0
    assert cache.get("b") is None
