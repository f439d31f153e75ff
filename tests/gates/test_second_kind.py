"""Gates of a kind of durable work that no line of Pavo knows are listed as those of others are."""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text

from pavo.accounts.domain import Identity
from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.gates import repository
from pavo.gates.domain import Gate, NewGate, Subject
from pavo.gates.service import GateService, Wanted
from pavo.inbox.schemas import InboxWanted
from pavo.inbox.service import InboxService
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.runs.subjects import SubjectRows, Subjects
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from tests.parts import Stores, drop_database, new_database

ROWS = SubjectRows("letters", worker="pen", there="NOT burnt", failed="lost", failed_since="sent_at", cause="why")
SUBJECTS = Subjects({"task": SubjectRows("tasks", worker="agent_type"), "letter": ROWS})


@pytest_asyncio.fixture(scope="module")
async def own(stores: Stores) -> AsyncIterator[Database]:
    url = new_database(stores)
    upgrade(url)
    found = Database(url, pool_size=2)
    async with found.transaction() as session:
        columns = (
            "id uuid, organisation_id uuid, created_by uuid, title text, pen text, burnt bool, lost bool, why text"
        )
        await session.execute(text(f"CREATE TABLE letters ({columns}, sent_at timestamptz DEFAULT pavo_now())"))
    yield found
    await found.close()
    drop_database(stores, url)


class Nobody:
    """Takes no answer."""

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        raise NotImplementedError


async def somebody(database: Database) -> Identity:
    accounts = AccountsService(database, HttpSettings.model_validate({"auth": "dev"}))
    return await accounts.first_sight(f"{uuid.uuid4().hex}@example.com")


async def letter(database: Database, who: Identity, **more: object) -> uuid.UUID:
    letter_id = uuid.uuid4()
    values = {"id": letter_id, "of": who.organisation_id, "by": who.user_id, "burnt": False, "lost": False, **more}
    async with database.transaction() as session:
        await timeline.create(session, letter_id, NewEvent("written"))
        insert = "INSERT INTO letters VALUES (:id, :of, :by, 'Dear', 'quill', :burnt, :lost, 'The rain.')"
        await session.execute(text(insert), values)
    return letter_id


async def test_its_gates_and_failures_are_listed(own: Database) -> None:
    who, stranger = await somebody(own), await somebody(own)
    gates, inbox = GateService(own, Nobody(), SUBJECTS), InboxService(own, SUBJECTS)
    asking, failed, burnt = (
        await letter(own, who),
        await letter(own, who, lost=True),
        await letter(own, who, burnt=True),
    )
    for each in (asking, burnt):
        subject = Subject(each, who.organisation_id, "v1", "letter")
        async with own.transaction() as session:
            await repository.open_gate(session, subject, NewGate("question", "where", "Where to?", "h", {}))

    found = await inbox.page(who, InboxWanted())
    shown = {(each.kind, each.subject_kind, each.subject_id, each.task_id) for each in found.items}
    assert shown == {("question", "letter", asking, None), ("failure", "letter", failed, None)}
    assert {(each.title, each.agent_type) for each in found.items} == {("Dear", "quill")}
    assert {each.text for each in found.items} == {"Where to?", "The rain."}
    assert (await inbox.page(stranger, InboxWanted())).total == 0
    assert (await inbox.page(who, InboxWanted(task_id=asking))).total == 0
    mine = await gates.page(who, Wanted(created_by="me"))
    assert [(each.subject_kind, each.subject_id) for each in mine.items] == [("letter", asking)], (
        "what is burnt is gone"
    )
    assert (await gates.page(who, Wanted(created_by=str(stranger.user_id)))).total == 0
    assert (await InboxService(own, Subjects({})).page(who, InboxWanted())).total == 0, "of no kinds nothing"
