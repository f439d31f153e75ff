"""Secrets of an organisation: sealed, listed without their values, sealed anew by another key, gone with it."""

import asyncio
import base64
import io
import json
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import delete, func, select, text, update

from pavo.accounts.models import MembershipRow, OrganisationRow, UserRow
from pavo.accounts.secrets import repository
from pavo.accounts.secrets import service as service_module
from pavo.accounts.secrets.models import SecretChangeRow, SecretRow
from pavo.accounts.secrets.sealing import KeyRing, open_sealed, seal
from pavo.accounts.secrets.service import SecretService
from pavo.cli.admin.secrets import secret_app
from pavo.config import SealingSettings
from pavo.errors import ConfigurationError, Conflict, InvalidInput, NotFound, PavoError, TooLarge, Unavailable
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from tests.parts import Parts, free_port

CANARY = "canary-5f0e-do-not-show"
FIRST, SECOND, THIRD = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2, 3))


def ring(key: str = FIRST, *former: str) -> KeyRing:
    return KeyRing.of(SealingSettings(key=SecretStr(key), former_keys=SecretStr(",".join(former))))


@pytest_asyncio.fixture
async def owner(database: Database) -> uuid.UUID:
    return await new_organisation(database)


async def new_organisation(database: Database) -> uuid.UUID:
    found = new_id()
    async with database.transaction() as session:
        session.add(OrganisationRow(id=found, name="Secretive"))
    return found


@pytest.fixture
def secrets(database: Database) -> SecretService:
    return SecretService(database, ring())


async def test_set_read_changed_and_removed(database: Database, secrets: SecretService, owner: uuid.UUID) -> None:
    assert await secrets.value(owner, "KEY") is None
    await secrets.set(owner, "KEY", CANARY)
    changed = await secrets.set(owner, "KEY", f"{CANARY}-2")
    assert await secrets.value(owner, "KEY") == f"{CANARY}-2"
    assert [each.name for each in await secrets.all_of(owner)] == ["KEY"] and changed.set_by is None
    assert await secrets.value(await new_organisation(database), "KEY") is None
    await secrets.remove(owner, "KEY")
    with pytest.raises(NotFound):
        await secrets.remove(owner, "KEY")
    page = await secrets.changes(owner, None, 2)
    assert [each.change for each in page.items] == ["removed", "set"] and page.next_cursor
    assert [each.change for each in (await secrets.changes(owner, page.next_cursor, 2)).items] == ["set"]


async def test_no_table_has_the_value(database: Database, secrets: SecretService, owner: uuid.UUID) -> None:
    await secrets.set(owner, "KEY", CANARY)
    async with database.reading() as session:
        tables = (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        assert "organisation_secrets" in tables
        for table in tables:
            rows = (
                await session.scalars(
                    text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE :c"), {"c": f"%{CANARY}%"}
                )
            ).one()
            assert rows == 0, table
        hexed = await session.scalars(
            text("SELECT count(*) FROM organisation_secrets WHERE position(:c in sealed) > 0"), {"c": CANARY.encode()}
        )
        assert hexed.one() == 0


async def test_a_row_of_another_organisation_or_name_does_not_open(
    database: Database, secrets: SecretService, owner: uuid.UUID
) -> None:
    other = await new_organisation(database)
    await secrets.set(owner, "KEY", CANARY)
    await secrets.set(other, "KEY", "theirs")
    await secrets.set(owner, "OTHER", "mine")
    async with database.transaction() as session:
        found = await repository.find(session, owner, "KEY")
        assert found is not None
        for place in ((other, "KEY"), (owner, "OTHER")):
            mine = (SecretRow.organisation_id == place[0], SecretRow.name == place[1])
            await session.execute(update(SecretRow).where(*mine).values(sealed=found.sealed))
    for place in ((other, "KEY"), (owner, "OTHER")):
        with pytest.raises(Unavailable) as refused:
            await secrets.value(*place)
        assert CANARY not in str(refused.value) and refused.value.remedy
    assert await secrets.value(owner, "KEY") == CANARY


def test_each_bit_counts() -> None:
    who = new_id()
    sealed = seal(ring(), who, "KEY", CANARY)
    assert sealed != seal(ring(), who, "KEY", CANARY), "the nonce is random"
    for at in range(len(sealed)):
        with pytest.raises(Unavailable):
            open_sealed(ring(), who, "KEY", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
    for length in range(len(sealed)):
        with pytest.raises(Unavailable):
            open_sealed(ring(), who, "KEY", sealed[:length])
    assert open_sealed(ring(SECOND, FIRST), who, "KEY", sealed) == CANARY
    with pytest.raises(Unavailable):
        open_sealed(ring(SECOND), who, "KEY", sealed)


@pytest.mark.parametrize(("key", "former"), [("short", ""), (f"{FIRST},{SECOND}", ""), (FIRST, "§"), (FIRST, "AAAA")])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str, former: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        KeyRing.of(SealingSettings(key=SecretStr(key), former_keys=SecretStr(former)))
    assert refused.value.field in ("PAVO_SEALING_KEY", "PAVO_SEALING_FORMER_KEYS")
    assert (FIRST not in str(refused.value) and repr(ring()) == object.__repr__(ring())) or "keys" not in repr(ring())


async def test_without_a_key_nothing_is_set(database: Database, owner: uuid.UUID) -> None:
    none = SecretService(database, KeyRing.of(SealingSettings(key=None, former_keys=None)))
    with pytest.raises(Conflict) as refused:
        await none.set(owner, "KEY", CANARY)
    assert refused.value.field == "PAVO_SEALING_KEY" and await none.all_of(owner) == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("", "x", InvalidInput),
        ("1", "x", InvalidInput),
        ("a/b", "x", InvalidInput),
        ("ä", "x", InvalidInput),
        ("a" * 101, "x", InvalidInput),
        ("KEY", "", InvalidInput),
        ("KEY", f"{CANARY}\0", InvalidInput),
        ("KEY", f"{CANARY}\ud800", InvalidInput),
        ("KEY", CANARY * 2000, TooLarge),
    ],
)
async def test_bad_input(
    secrets: SecretService, owner: uuid.UUID, name: str, value: str, kind: type[PavoError]
) -> None:
    with pytest.raises(kind) as refused:
        await secrets.set(owner, name, value)
    assert refused.value.field and refused.value.remedy and CANARY not in repr(vars(refused.value))
    assert await secrets.all_of(owner) == []


async def test_there_is_a_most(secrets: SecretService, owner: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_SECRETS", 3)
    made = await asyncio.gather(*(secrets.set(owner, f"K{at}", "x") for at in range(5)), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in made) == 2 and len(await secrets.all_of(owner)) == 3
    taken = (await secrets.all_of(owner))[0].name
    await secrets.set(owner, taken, "y")


class _Died(BaseException):
    pass


async def test_a_rotation_goes_on_where_it_died(
    database: Database, secrets: SecretService, owner: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "BATCH", 2)
    async with database.transaction() as session:
        await session.execute(delete(SecretRow))  # a rotation takes those of all organisations
    for at in range(5):
        await secrets.set(owner, f"K{at}", f"{CANARY}-{at}")
    before = await secrets.all_of(owner)
    turned = SecretService(database, ring(SECOND, FIRST))
    reseal, done = repository.reseal, list[str]()

    async def dying(session: Any, secret: Any) -> None:
        if len(done) == 3:
            raise _Died
        done.append(secret.name)
        await reseal(session, secret)

    monkeypatch.setattr(repository, "reseal", dying)
    with pytest.raises(_Died):
        await turned.rotate()
    async with database.reading() as session:
        heads = (
            await session.scalars(
                select(func.substring(SecretRow.sealed, 1, 7)).where(SecretRow.organisation_id == owner)
            )
        ).all()
    assert len({bytes(head) for head in heads}) == 2, "whole batches stay"
    for at in range(5):
        assert await turned.value(owner, f"K{at}") == f"{CANARY}-{at}"
    monkeypatch.setattr(repository, "reseal", reseal)
    assert (await turned.rotate()).resealed >= 3 and (await turned.rotate()).resealed == 0
    alone = SecretService(database, ring(SECOND))
    for at in range(5):
        assert await alone.value(owner, f"K{at}") == f"{CANARY}-{at}"
    after = await alone.all_of(owner)
    assert [each.set_at for each in after] == [each.set_at for each in before], "who set it when stays"
    await SecretService(database, ring(FIRST, SECOND)).rotate()


async def test_a_rotation_passes_what_it_cannot_open(database: Database, owner: uuid.UUID) -> None:
    await SecretService(database, ring(THIRD)).set(owner, "LOST", "x")
    await SecretService(database, ring(FIRST)).set(owner, "MINE", "y")
    turned = SecretService(database, ring(SECOND, FIRST))
    done = await turned.rotate()
    assert f"{owner}/LOST" in done.unreadable and await turned.value(owner, "MINE") == "y"
    with pytest.raises(Unavailable) as refused:
        await turned.value(owner, "LOST")
    assert "PAVO_SEALING_FORMER_KEYS" in (refused.value.remedy or "")
    await turned.remove(owner, "LOST")
    await SecretService(database, ring(FIRST, SECOND)).rotate()


async def test_they_go_with_the_organisation(database: Database, secrets: SecretService, owner: uuid.UUID) -> None:
    await secrets.set(owner, "KEY", CANARY)
    async with database.transaction() as session:
        await session.execute(delete(OrganisationRow).where(OrganisationRow.id == owner))
    async with database.reading() as session:
        for row in (SecretRow, SecretChangeRow):
            assert (await session.scalars(select(func.count()).where(row.organisation_id == owner))).one() == 0


@pytest_asyncio.fixture(scope="module")
async def api(parts: Parts) -> AsyncIterator[tuple[str, Any]]:
    port = str(free_port())
    part = await parts.start("api", PAVO_PORT=port, PAVO_SEALING_KEY=FIRST)
    yield f"http://127.0.0.1:{port}", part
    part.end()


async def test_over_http_no_value_comes_back(api: tuple[str, Any], database: Database) -> None:
    url, part = api
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        mine = (await client.get("/api/organisations")).json()["items"][0]["id"]
        place, told = f"/api/organisations/{mine}", list[str]()

        async def ask(method: str, path: str, expect: int, **request: Any) -> Any:
            answer = await client.request(method, f"{place}{path}", **request)
            told.append(f"{answer.headers} {answer.text}")
            assert answer.status_code == expect, answer.text
            return answer.json() if answer.content else None

        made = await ask("PUT", "/secrets/KEY", 200, json={"value": CANARY})
        assert made["set_by"] == headers["X-User-Email"]
        assert (await ask("GET", "/secrets", 200))["items"] == [made]
        for body in ({"value": CANARY * 2000}, {"value": [CANARY]}, {"value": f"{CANARY}\0"}, {"other": CANARY}):
            problem = await ask("PUT", "/secrets/KEY", 413 if len(str(body)) > 9999 else 422, json=body)
            assert problem["field"] and problem["remedy"]
        await ask("PUT", "/secrets/KEY", 422, content=f'{{"value": "{CANARY}'.encode())
        await ask("PUT", "/secrets/a%20b", 422, json={"value": CANARY})
        await ask("GET", "/secrets/KEY", 405)
        assert [each["change"] for each in (await ask("GET", "/secret-changes", 200))["items"]] == ["set"]
        async with database.transaction() as session:
            user = (await session.scalars(select(UserRow.id).where(UserRow.email == headers["X-User-Email"]))).one()
            await session.execute(update(MembershipRow).where(MembershipRow.user_id == user).values(role="member"))
        for method, path in (
            ("GET", "/secrets"),
            ("PUT", "/secrets/KEY"),
            ("DELETE", "/secrets/KEY"),
            ("GET", "/secret-changes"),
        ):
            await ask(method, path, 403, json={"value": "x"} if method == "PUT" else None)
        async with database.transaction() as session:
            await session.execute(update(MembershipRow).where(MembershipRow.user_id == user).values(role="owner"))
        stranger = {"X-User-Email": f"{uuid.uuid4().hex}@example.org"}
        await ask("GET", "/secrets", 404, headers=stranger)
        await ask("DELETE", "/secrets/KEY", 404, headers=stranger)
        await ask("DELETE", "/secrets/KEY", 204)
        await ask("DELETE", "/secrets/KEY", 404)
    assert all(CANARY not in each for each in told) and CANARY not in part.log.read_text()


async def test_the_commands_of_an_operator(
    database: Database,
    owner: uuid.UUID,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(os.environ, "DATABASE_URL", database.engine.url.render_as_string(hide_password=False))
    monkeypatch.setitem(os.environ, "PAVO_SEALING_KEY", FIRST)
    caplog.set_level(logging.DEBUG)

    async def run(*words: str, given: bytes = b"") -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        await secret_app.run_async(list(words), exit_on_error=False, print_error=False, result_action="return_value")
        found = capsys.readouterr()
        assert CANARY not in found.out + found.err
        return found.out

    org = ("--org", str(owner))
    await run("set", "KEY", *org, given=f"{CANARY}\n".encode())
    assert await SecretService(database, ring()).value(owner, "KEY") == CANARY
    (listed,) = json.loads(await run("list", *org, "-o", "json"))["secrets"]
    assert listed["name"] == "KEY" and "value" not in listed
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    assert all(len(line) <= 80 for line in (await run("list", *org)).splitlines())
    for given in (b"", b"\xff", CANARY.encode() * 2000):
        with pytest.raises(PavoError) as refused:
            await run("set", "KEY", *org, given=given)
        assert CANARY not in repr(vars(refused.value))
    monkeypatch.setitem(os.environ, "PAVO_SEALING_KEY", SECOND)
    monkeypatch.setitem(os.environ, "PAVO_SEALING_FORMER_KEYS", FIRST)
    assert json.loads(await run("rotate", "-o", "json"))["resealed"] >= 1
    assert await SecretService(database, ring(SECOND)).value(owner, "KEY") == CANARY
    await run("remove", "KEY", *org)
    assert [each["change"] for each in json.loads(await run("changes", *org, "-o", "json"))["changes"]] == [
        "removed",
        "set",
    ]
    assert CANARY not in caplog.text


def test_a_deployment_makes_its_key_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from pavo.deploy.model.layout import Layout
    from pavo.deploy.model.sealing_key import load_sealing_key, sealing_environment

    layout = Layout(tmp_path)
    made = load_sealing_key(layout)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(load_sealing_key, [layout] * 16)) == {made}
    assert (tmp_path / "sealing.key").stat().st_mode & 0o077 == 0 and [each.name for each in tmp_path.iterdir()] == [
        "sealing.key"
    ]
    assert sealing_environment(layout, {}) == {"PAVO_SEALING_KEY": made, "PAVO_SEALING_FORMER_KEYS": ""}
    chosen = sealing_environment(layout, {"PAVO_SEALING_KEY": FIRST, "PAVO_SEALING_FORMER_KEYS": SECOND})
    assert chosen == {"PAVO_SEALING_KEY": FIRST, "PAVO_SEALING_FORMER_KEYS": f"{SECOND},{made}"}
    assert len(KeyRing.of(SealingSettings(key=SecretStr(FIRST), former_keys=SecretStr(f"{SECOND},{made}"))).keys) == 3
