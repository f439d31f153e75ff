"""Tokens, organisations, members, invitations and the corpus over HTTP: what each may do who is nothing to an
organisation, a member, or an owner."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.kit.sql import Database
from tests.parts import Parts, free_port


@dataclass(frozen=True)
class Person:
    """Somebody who asks the API."""

    http: httpx2.AsyncClient
    email: str
    id: str
    home: str

    async def ask(self, method: str, path: str, expect: int = 200, **request: Any) -> Any:
        answer = await self.http.request(method, path, **request)
        assert answer.status_code == expect, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None


NewPerson = Callable[[], Awaitable[Person]]


@pytest_asyncio.fixture
async def somebody(stack: str) -> AsyncIterator[NewPerson]:
    clients: list[httpx2.AsyncClient] = []

    async def make() -> Person:
        email = f"{uuid.uuid4().hex}@example.com"
        clients.append(httpx2.AsyncClient(base_url=stack, headers={"X-User-Email": email}, timeout=30))
        me = (await clients[-1].get("/api/session")).json()
        return Person(clients[-1], email, me["user_id"], me["organisation_id"])

    yield make
    for client in clients:
        await client.aclose()


@dataclass(frozen=True)
class Team:
    """An owner with a member, and somebody who is nothing to them."""

    owner: Person
    member: Person
    stranger: Person
    path: str

    async def roles(self) -> dict[str, str]:
        members = (await self.owner.ask("GET", f"{self.path}/members"))["items"]
        return {found["user_id"]: found["role"] for found in members}


@pytest_asyncio.fixture
async def team(somebody: NewPerson) -> Team:
    owner, member, stranger = await somebody(), await somebody(), await somebody()
    path = f"/api/organisations/{owner.home}"
    made = await owner.ask("POST", f"{path}/invitations", 201, json={"email": member.email})
    await member.ask("POST", f"/api/invitations/{made['id']}/accept")
    return Team(owner, member, stranger, path)


ID = uuid.UUID(int=7)
OF_OWNERS = [
    ("PATCH", "", {"name": "Taken over"}),
    ("PATCH", "/members/{member}", {"role": "owner"}),
    ("GET", "/invitations", None),
    ("POST", "/invitations", {"email": "friend@example.com"}),
    ("DELETE", f"/invitations/{ID}", None),
    ("DELETE", "/members/{owner}", None),
    ("GET", "/webhooks", None),
    ("POST", "/webhooks", {"url": "https://example.com/"}),
    ("PATCH", f"/webhooks/{ID}", {"enabled": False}),
    ("DELETE", f"/webhooks/{ID}", None),
    ("POST", f"/webhooks/{ID}/rotate", None),
    ("POST", f"/webhooks/{ID}/test", None),
    ("GET", f"/webhooks/{ID}/deliveries", None),
    ("POST", f"/webhooks/{ID}/deliveries/{ID}/resend", None),
]
OF_MEMBERS = [
    ("GET", "", None),
    ("PUT", "/home", None),
    ("GET", "/members", None),
    ("POST", "/corpus", {"title": "Title", "body": "Text"}),
    ("GET", "/corpus", None),
    ("GET", "/corpus/search?q=text", None),
    ("GET", f"/corpus/{ID}", None),
    ("DELETE", f"/corpus/{ID}", None),
]


async def test_a_stranger_finds_nothing_and_a_member_is_told_what_is_the_owners(team: Team) -> None:
    before = await team.roles()
    for method, rest, body in OF_OWNERS:
        path = team.path + rest.format(member=team.member.id, owner=team.owner.id)
        refused = await team.member.ask(method, path, 403, json=body)
        assert refused["code"] == "Forbidden" and refused["remedy"], path
        assert (await team.stranger.ask(method, path, 404, json=body))["code"] == "NotFound"
    for method, rest, body in OF_MEMBERS:
        await team.stranger.ask(method, team.path + rest, 404, json=body)
        answer = await team.member.http.request(method, team.path + rest, json=body)
        assert answer.status_code in ((404,) if str(ID) in rest else (200, 201, 204)), (rest, answer.text)
    assert await team.roles() == before
    assert (await team.owner.ask("GET", f"{team.path}/invitations"))["items"] == []
    assert (await team.owner.ask("GET", team.path))["name"] == team.owner.email


async def test_who_leaves_sees_nothing_from_the_next_request_on(team: Team) -> None:
    created = await team.owner.ask("POST", "/api/tasks", 201, json={"title": "Ours"})
    await team.member.ask("PUT", f"{team.path}/home", 204)
    task = f"/api/tasks/{created['id']}"
    await team.member.ask("GET", task)
    await team.owner.ask("DELETE", f"{team.path}/members/{team.member.id}", 204)
    await team.member.ask("GET", task, 404)
    await team.member.ask("GET", team.path, 404)
    me = await team.member.ask("GET", "/api/session")
    assert me["organisation_id"] == team.member.home, "back in the one of their own"
    await team.owner.ask("DELETE", f"{team.path}/members/{team.member.id}", 404)
    await team.stranger.ask("DELETE", f"/api/organisations/{team.stranger.home}/members/{team.member.id}", 404)


async def test_who_has_no_other_organisation_gets_one_of_their_own(team: Team) -> None:
    """An owner who leaves home, after a second owner is there."""
    member = f"{team.path}/members/{team.member.id}"
    assert (await team.owner.ask("PATCH", member, json={"role": "owner"}))["role"] == "owner"
    await team.owner.ask("DELETE", f"{team.path}/members/{team.owner.id}", 204)
    (mine,) = (await team.owner.ask("GET", "/api/organisations"))["items"]
    assert mine["home"] and mine["role"] == "owner" and mine["id"] != team.owner.home
    await team.owner.ask("POST", "/api/tasks", 201, json={"title": "Mine alone"})


async def test_members_come_in_pages(team: Team) -> None:
    path = f"{team.path}/members"
    first = await team.owner.ask("GET", path, params={"limit": 1})
    assert [found["user_id"] for found in first["items"]] == [team.owner.id]
    rest = await team.owner.ask("GET", path, params={"limit": 1, "cursor": first["next_cursor"]})
    assert [found["user_id"] for found in rest["items"]] == [team.member.id] and rest["next_cursor"] is None
    refused = await team.owner.ask("GET", path, 422, params={"cursor": "x"})
    assert refused["field"] == "cursor" and refused["remedy"]
    await team.owner.ask("GET", path, 422, params={"limit": 201})


async def test_the_last_owner_stays(team: Team) -> None:
    place = f"{team.path}/members/{team.owner.id}"
    for method, body in (("DELETE", None), ("PATCH", {"role": "member"})):
        refused = await team.owner.ask(method, place, 409, json=body)
        assert refused["code"] == "LastOwner" and "another member an owner" in refused["remedy"]
    assert (await team.roles())[team.owner.id] == "owner"


async def test_of_two_owners_who_leave_at_once_one_stays(team: Team) -> None:
    await team.owner.ask("PATCH", f"{team.path}/members/{team.member.id}", json={"role": "owner"})
    leaving = [who.http.delete(f"{team.path}/members/{who.id}") for who in (team.owner, team.member)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*leaving)) == [204, 409]


async def test_an_invitation_needs_a_yes_and_moves_nobody(somebody: NewPerson, database: Database) -> None:
    """Nobody is put into an organisation whose owner then sees what they do: neither who is known nor who is new."""
    owner, known = await somebody(), await somebody()
    path = f"/api/organisations/{owner.home}/invitations"
    new = f"{uuid.uuid4().hex}@example.com"
    made = await owner.ask("POST", path, 201, json={"email": known.email.upper()})
    await owner.ask("POST", path, 201, json={"email": new, "role": "owner"})
    assert "secret" not in made or made["secret"] is None
    assert [found["id"] for found in (await known.ask("GET", "/api/organisations"))["items"]] == [known.home]
    joined = await AccountsService(database, HttpSettings.model_validate({"auth": "dev"})).first_sight(new)
    assert str(owner.home) not in {str(found) for found in joined.organisation_ids}
    (mine,) = (await known.ask("GET", "/api/invitations"))["items"]
    assert mine["id"] == made["id"] and mine["invited_by"] == owner.email and mine["organisation"] == owner.email
    for _ in range(2):
        found = await known.ask("POST", f"/api/invitations/{made['id']}/accept")
        assert (found["id"], found["role"], found["home"]) == (owner.home, "member", False)
    assert (await known.ask("GET", "/api/session"))["organisation_id"] == known.home
    assert (await known.ask("GET", "/api/invitations"))["items"] == []


async def test_inviting_twice_is_one_invitation(somebody: NewPerson) -> None:
    owner, friend, other = await somebody(), await somebody(), await somebody()
    path = f"/api/organisations/{owner.home}/invitations"
    body = {"email": friend.email, "expires_in_seconds": 3600}
    first = await owner.ask("POST", path, 201, json=body)
    again = await owner.ask("POST", path, 200, json={**body, "expires_in_seconds": 7200})
    assert again["id"] == first["id"] and again["expires_at"] > first["expires_at"]
    assert len((await owner.ask("GET", path))["items"]) == 1
    await other.ask("POST", f"/api/invitations/{first['id']}/accept", 404)
    await friend.ask("POST", f"/api/invitations/{first['id']}/decline", 204)
    await friend.ask("POST", f"/api/invitations/{first['id']}/accept", 404)
    withdrawn = await owner.ask("POST", path, 201, json=body)
    await owner.ask("DELETE", f"{path}/{withdrawn['id']}", 204)
    await friend.ask("POST", f"/api/invitations/{withdrawn['id']}/accept", 404)
    third = await owner.ask("POST", path, 201, json=body)
    await friend.ask("POST", f"/api/invitations/{third['id']}/accept")
    refused = await owner.ask("POST", path, 409, json=body)
    assert refused["field"] == "email"


async def test_a_link_serves_one_person_once(somebody: NewPerson) -> None:
    owner, friend, late = await somebody(), await somebody(), await somebody()
    path = f"/api/organisations/{owner.home}/invitations"
    made = await owner.ask("POST", path, 201, json={"role": "owner"})
    assert made["kind"] == "link" and made["email"] is None and made["secret"].startswith("pavoinv_")
    (listed,) = (await owner.ask("GET", path))["items"]
    assert "secret" not in listed and listed["id"] == made["id"]
    body = {"secret": made["secret"]}
    answers = await asyncio.gather(*(who.http.post("/api/invitations/accept", json=body) for who in (friend, late)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner = friend if answers[0].status_code == 200 else late
    assert (await winner.ask("POST", "/api/invitations/accept", json=body))["role"] == "owner", "a repetition"
    await owner.ask("POST", "/api/invitations/accept", 404, json={"secret": "pavoinv_guessed"})
    assert (await owner.ask("GET", path))["items"] == []


async def test_expired_invitations_open_nothing(somebody: NewPerson, database: Database) -> None:
    owner, friend = await somebody(), await somebody()
    path = f"/api/organisations/{owner.home}/invitations"
    by_email = await owner.ask("POST", path, 201, json={"email": friend.email})
    link = await owner.ask("POST", path, 201, json={})
    async with database.autocommit() as connection:
        for table in ("invitations", "invitation_links"):
            await connection.exec_driver_sql(
                f"UPDATE {table} SET expires_at = now() - interval '1 second' WHERE organisation_id = '{owner.home}'"
            )
    assert (await friend.ask("GET", "/api/invitations"))["items"] == []
    assert "expired" in (await friend.ask("POST", f"/api/invitations/{by_email['id']}/accept", 409))["detail"]
    body = {"secret": link["secret"]}
    assert "expired" in (await friend.ask("POST", "/api/invitations/accept", 409, json=body))["detail"]
    assert {found["expired"] for found in (await owner.ask("GET", path))["items"]} == {True}
    for seconds in (0, 31 * 86_400, "3600", True):
        refused = await owner.ask("POST", path, 422, json={"expires_in_seconds": seconds})
        assert refused["field"] == "expires_in_seconds"


async def test_an_organisation_of_ones_own(somebody: NewPerson) -> None:
    ada = await somebody()
    made = await ada.ask("POST", "/api/organisations", 201, json={"name": "  Analytical Engines "})
    assert (made["name"], made["role"], made["home"], made["members"]) == ("Analytical Engines", "owner", False, 1)
    place = f"/api/organisations/{made['id']}"
    await ada.ask("PUT", f"{place}/home", 204)
    assert (await ada.ask("GET", "/api/session"))["organisation_id"] == made["id"]
    assert (await ada.ask("PATCH", place, json={"name": "Engines"}))["name"] == "Engines"
    for name in ("", " ", "a\nb", "a\x00b", "\ud800"):
        answer = await ada.http.patch(
            place, content=json.dumps({"name": name}), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text


async def test_documents_of_an_organisation(team: Team) -> None:
    path = f"{team.path}/corpus"
    kept = {found["id"] for found in (await team.owner.ask("GET", path))["items"]}
    body = {"title": "Lisbon", "body": "Zanzibar is mild.", "source": "notes.md"}
    added = await team.member.ask("POST", path, 201, json=body)
    assert await team.owner.ask("POST", path, 200, json=body) == added
    assert (await team.owner.ask("GET", f"{path}/{added['id']}"))["body"] == "Zanzibar is mild."
    (hit,) = (await team.owner.ask("GET", f"{path}/search", params={"q": "zanzibar"}))["items"]
    assert hit["id"] == added["id"]
    seen, cursor = set[str](), None
    while True:
        page = await team.owner.ask("GET", path, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        assert len(page["items"]) <= 2 and not seen & {found["id"] for found in page["items"]}
        seen |= {found["id"] for found in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == kept | {added["id"]}
    own = f"/api/organisations/{team.stranger.home}/corpus/{added['id']}"
    await team.stranger.ask("GET", own, 404)
    await team.stranger.ask("DELETE", own, 404)
    await team.member.ask("DELETE", f"{path}/{added['id']}", 204)
    await team.member.ask("DELETE", f"{path}/{added['id']}", 404)
    assert (await team.owner.ask("GET", f"{path}/search", params={"q": "zanzibar"}))["items"] == []
    for wrong, status, field in (
        ({**body, "title": " "}, 422, "title"),
        ({**body, "body": "a\x00b"}, 422, "body"),
        ({**body, "title": "x" * 501}, 413, "title"),
        ({**body, "body": "é" * 600_000}, 413, "body"),
    ):
        assert (await team.owner.ask("POST", path, status, json=wrong))["field"] == field


@pytest_asyncio.fixture
async def token_api(parts: Parts) -> AsyncIterator[str]:
    """An API that is open to tokens alone."""
    port = str(free_port())
    part = await parts.start("api", PAVO_PORT=port, PAVO_AUTH="token", PAVO_SECRET_KEY="x" * 40)
    yield f"http://127.0.0.1:{port}"
    part.end()


@pytest.mark.usefixtures("stack")
async def test_the_life_of_a_token(token_api: str, database: Database) -> None:
    accounts = AccountsService(database, HttpSettings.model_validate({"auth": "dev"}))
    first = await accounts.create_token(f"{uuid.uuid4().hex}@example.com", "first")
    other = await accounts.create_token(f"{uuid.uuid4().hex}@example.com", "other")
    async with httpx2.AsyncClient(base_url=token_api, timeout=30) as http:

        def by(secret: str) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {secret}"}}

        answer = await http.post("/api/tokens", json={"name": "CI", "expires_in_seconds": 3600}, **by(first.secret))
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["secret"].startswith(made["prefix"]) and made["state"] == "active"
        listed = (await http.get("/api/tokens", **by(made["secret"]))).json()["items"]
        assert [found["name"] for found in listed] == ["CI", "first"] and made["secret"] not in str(listed)
        # One that ends makes none that lives longer.
        answer = await http.post("/api/tokens", json={"name": "for ever"}, **by(made["secret"]))
        assert answer.status_code == 201 and answer.json()["expires_at"] == made["expires_at"]
        cookie = (await http.post("/api/session", json={"token": made["secret"]})).cookies["pavo_session"]
        place = f"/api/tokens/{made['id']}"
        assert (await http.delete(place, **by(other.secret))).status_code == 404
        assert (await http.get("/api/tokens", **by(made["secret"]))).status_code == 200
        for _ in range(2):
            assert (await http.delete(place, **by(first.secret))).status_code == 204
        assert (await http.get("/api/tokens", **by(made["secret"]))).status_code == 401, "from the next request on"
        http.cookies.clear()
        http.cookies.set("pavo_session", cookie)
        assert (await http.get("/api/tokens")).status_code == 401, "its sessions too"
        http.cookies.clear()
        assert (await http.get("/api/tokens")).status_code == 401
        for body in ({"name": " "}, {"name": "x", "expires_in_seconds": 0}, {"name": "x", "scopes": ["all"]}, {}):
            assert (await http.post("/api/tokens", json=body, **by(first.secret))).status_code == 422, body
