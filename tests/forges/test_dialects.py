"""The same of each dialect, against the small forge in its words."""

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from pavo.errors import AlreadyProposed, BranchMissing, ForgeDenied, ForgeError, NoDifference, PavoError, Unavailable
from pavo.forges import asking
from pavo.forges.opening import open_forge
from pavo.forges.port import CLOSED, MAX_BODY, MERGED, OPEN, SUCCESS, CommitStatus, Proposal
from pavo.forges.port import Forge as Port
from pavo.forges.proposing import propose
from tests.forges.small_forge import DIALECTS, Forge

WRITES = "token-that-writes"


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


class Opens:
    def __init__(self, client: httpx2.AsyncClient, forge: Forge, repository: str, dialect: str) -> None:
        self.client, self.forge, self.repository, self.dialect = client, forge, repository, dialect

    def __call__(self, token: str = WRITES, repository: str | None = None) -> Port:
        url = self.forge.clone_url(repository or self.repository)
        return open_forge(self.client, self.dialect, url, token=token)

    def proposal(self, head: str = "pavo/work", **changes: Any) -> Proposal:
        commit = self.forge.branch(self.repository, head) or ""
        return replace(Proposal(head, "main", "Fix it", "What was asked.", commit), **changes)


@pytest.fixture
def opens(connections: httpx2.AsyncClient, small_forge: Forge, repository: str, dialect: str) -> Opens:
    return Opens(connections, small_forge, repository, dialect)


async def test_an_open_one_is_updated_and_not_doubled(opens: Opens) -> None:
    port = opens()
    first = await propose(port, opens.proposal())
    again = await propose(port, opens.proposal(title="Fix it well", body="And what was done."))
    assert (first.updated, again.updated) == (False, True)
    assert first.pull_request.number == again.pull_request.number == 1
    assert again.pull_request.title == "Fix it well" and again.pull_request.state == OPEN
    assert [each.body for each in opens.forge.of(opens.repository)] == ["And what was done."]
    assert await port.get(1) == again.pull_request


async def test_one_that_came_in_between_is_updated(opens: Opens) -> None:
    """Another attempt opened it after this one had looked."""
    port = opens()
    find, looks = port.find, []

    async def none_at_first(head: str) -> Any:
        looks.append(head)
        return [] if len(looks) == 1 else await find(head)

    await port.create(opens.proposal())
    port.find = none_at_first  # type: ignore[method-assign]
    found = await propose(port, opens.proposal(title="Later"))
    assert found.updated and found.pull_request.title == "Later" and len(opens.forge.of(opens.repository)) == 1


async def test_one_that_was_merged_with_this_commit_is_not_opened_anew(opens: Opens) -> None:
    port = opens()
    await propose(port, opens.proposal())
    opens.forge.merge(opens.repository, 1)
    same = await propose(port, opens.proposal())
    assert same.updated and same.pull_request.state == MERGED and same.pull_request.number == 1
    tip = opens.forge.branch(opens.repository, "pavo/work")
    more = opens.forge.commit(opens.repository, {"more.txt": "more"}, "More", [tip])
    opens.forge.git(opens.repository, "update-ref", "refs/heads/pavo/work", more)
    second = await propose(port, opens.proposal())
    assert not second.updated and second.pull_request.number == 2
    assert (await port.find("pavo/work"))[0].state == OPEN
    opens.forge.merge(opens.repository, 2)
    assert [(each.number, each.state) for each in await port.find("pavo/work")] == [(2, MERGED), (1, MERGED)]


async def test_one_that_was_closed_is_told_as_closed(opens: Opens) -> None:
    port = opens()
    await propose(port, opens.proposal())
    opens.forge.pull(opens.repository, 1).state = "closed"
    found = await propose(port, opens.proposal())
    assert found.pull_request.state == CLOSED and len(opens.forge.of(opens.repository)) == 1


async def test_what_a_forge_refuses(opens: Opens) -> None:
    port = opens()
    with pytest.raises(BranchMissing) as missing:
        await port.create(opens.proposal("pavo/nowhere"))
    assert missing.value.remedy
    # GitLab and Gitea take another branch with nothing of its own, and say nothing.
    nothing = "main" if opens.dialect == "gitea" else "pavo/same"
    with pytest.raises((NoDifference, ForgeError)) as same:
        await port.create(opens.proposal(nothing))
    assert opens.dialect == "gitlab" or isinstance(same.value, NoDifference)
    await port.create(opens.proposal())
    with pytest.raises(AlreadyProposed):
        await port.create(opens.proposal())
    with pytest.raises(ForgeError) as none:
        await opens(repository="acme/none").find("pavo/work")
    assert "acme/none" in (none.value.remedy or "") and len(opens.forge.of(opens.repository)) == 1


async def test_tokens_are_refused_and_never_told(opens: Opens) -> None:
    for token, words in (("token-that-was-revoked", "not valid"), ("token-that-reads", "right to write")):
        with pytest.raises(ForgeDenied) as denied:
            await opens(token).create(opens.proposal())
        assert words in (denied.value.remedy or "") and token not in str(vars(denied.value))
    opens.forge.interfere = lambda method, path: (400, {}, f"what is {WRITES}?".encode())
    with pytest.raises(ForgeError) as told:
        await opens().find("pavo/work")
    assert WRITES not in told.value.detail and "what is ***?" in told.value.detail
    with pytest.raises(ForgeDenied) as odd:
        opens("two\nlines")
    assert "lines" not in odd.value.detail and opens.forge.of(opens.repository) == []


async def test_drafts_stay_what_people_made_of_them(opens: Opens) -> None:
    port = opens()
    made = await propose(port, opens.proposal(draft=True))
    assert made.pull_request.draft and made.pull_request.title == "Fix it"
    await propose(port, opens.proposal(title="Fix it well", draft=False))
    pull = opens.forge.pull(opens.repository, 1)
    assert pull.draft and pull.title.endswith("Fix it well")
    assert pull.title.count(":") == (0 if opens.dialect == "github" else 1)


async def test_long_texts_are_cut(opens: Opens) -> None:
    made = await propose(opens(), opens.proposal(title="word\n" * 500, body="b" * (MAX_BODY + 1)))
    pull = opens.forge.pull(opens.repository, 1)
    assert len(pull.title) <= 255 and "\n" not in pull.title and pull.body.endswith("(cut here)")
    assert made.pull_request.title == pull.title


async def test_comments_are_read_from_a_moment_on(opens: Opens) -> None:
    port = opens()
    await propose(port, opens.proposal())
    early = opens.forge.say(opens.repository, 1, "eve", "too early")
    early.at = (datetime.fromisoformat(early.at) - timedelta(hours=1)).isoformat()
    since = datetime.fromisoformat(early.at) + timedelta(minutes=1)
    opens.forge.say(opens.repository, 1, "eve", "please mend this", "work.txt", 1)
    await port.comment(1, "It is mended.")
    first = (await port.comments(1, None))[0]
    assert (first.author, first.text) == ("eve", "too early")
    told = await port.comments(1, since)
    assert [(each.author, each.text, each.path, each.line) for each in told] == [
        ("eve", "please mend this", "work.txt", 1),
        ("ada", "It is mended.", "", None),
    ]
    assert len({each.id for each in told}) == 2


async def test_a_commit_has_a_status(opens: Opens) -> None:
    commit = opens.forge.branch(opens.repository, "pavo/work")
    await opens().set_commit_status(commit, CommitStatus(SUCCESS, "pavo/verify", "2 checks passed", "http://x/y"))
    made = opens.forge.statuses[-1]
    assert (made["commit"], made["context"], made["state"]) == (commit, "pavo/verify", "success")


LIMITS = [
    (429, {"Retry-After": "17"}, 17),
    (403, {"Retry-After": "9", "X-RateLimit-Remaining": "4"}, 9),
    (403, {"X-RateLimit-Remaining": "0"}, asking.LIMIT_SECONDS),
    (503, {"Retry-After": "999999999"}, asking.MAX_WAIT_SECONDS),
    (502, {"Retry-After": "soon"}, 5),
]


@pytest.mark.parametrize(("status", "headers", "wait"), LIMITS)
async def test_a_forge_that_is_busy_is_asked_later(
    opens: Opens, status: int, headers: dict[str, str], wait: int
) -> None:
    opens.forge.interfere = lambda method, path: (status, headers, b'{"message": "slow down"}')
    with pytest.raises(Unavailable) as busy:
        await opens().find("pavo/work")
    assert busy.value.retry_after == wait and "slow down" in busy.value.detail


ODD = [
    b"",
    b"<html>a page</html>",
    b'{"message": []}',
    b"[" * 50_000,
    b'[{"number": "x"}]',
    b"\xff\xfe",
    b'{"a": ' * 900 + b"1" + b"}" * 900,
]


@pytest.mark.parametrize("status", [200, 404, 301])
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
async def test_answers_that_are_none_are_errors_of_ours(opens: Opens, body: bytes, status: int) -> None:
    opens.forge.interfere = lambda method, path: (status, {"Location": "http://127.0.0.1:9/"}, body)
    with pytest.raises(PavoError) as odd:
        await opens().get(1)
    assert isinstance(odd.value, ForgeError) and len(odd.value.detail) < 600 and odd.value.remedy


async def test_answers_are_bounded(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER_BYTES", 1000)
    opens.forge.interfere = lambda method, path: (200, {}, b" " * 2000)
    with pytest.raises(ForgeError, match="more than 1,000 bytes"):
        await opens().get(1)
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    opens.forge.interfere = lambda method, path: time.sleep(0.6)  # type: ignore[func-returns-value]
    with pytest.raises(Unavailable, match=r"within 0.2 s"):
        await opens().get(1)


async def test_a_forge_that_is_away(connections: httpx2.AsyncClient, dialect: str) -> None:
    port = open_forge(connections, dialect, "http://127.0.0.1:9/acme/thing.git", token=WRITES)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await port.find("x")


async def test_what_is_as_it_was_is_not_said_again(opens: Opens) -> None:
    await propose(opens(), opens.proposal())

    async def look(known: asking.Remembered) -> tuple[Any, list[str]]:
        url = opens.forge.clone_url(opens.repository)
        port = open_forge(opens.client, opens.dialect, url, token=WRITES, remembered=known)
        try:
            found = await port.get(1)
        except asking.NotModified:
            found = None
        return found, [each.text for each in await port.comments(1, None)]

    opens.forge.say(opens.repository, 1, "ada", "Use the helper.")
    first = asking.Remembered()
    found, said = await look(first)
    assert found is not None and said == ["Use the helper."]
    second = asking.Remembered(first.seen)
    assert await look(second) == (None, [])
    opens.forge.say(opens.repository, 1, "ada", "And say why.")
    third = asking.Remembered(second.seen)
    assert (await look(third))[1] == ["Use the helper.", "And say why."]
    opens.forge.pull(opens.repository, 1).state = "closed"
    found, said = await look(asking.Remembered(third.seen))
    assert found.state == CLOSED and said == []


@pytest.mark.parametrize(
    ("answers", "writes"),
    [
        ({"github": {"permission": "write"}, "gitea": {"permission": "write"}, "gitlab": 30}, True),
        ({"github": {"permission": "read"}, "gitea": {"permission": "read"}, "gitlab": 20}, False),
    ],
)
async def test_who_may_write_is_asked_anew_each_time(opens: Opens, answers: dict[str, Any], writes: bool) -> None:
    def interfere(method: str, path: str) -> Any:
        if "/collaborators/" in path:
            return 200, {"ETag": '"x"'}, json.dumps(answers[opens.dialect]).encode()
        if "/members/all" in path:
            return 200, {}, json.dumps([{"username": "eve", "access_level": answers["gitlab"]}]).encode()
        return None

    opens.forge.interfere = interfere
    url, known = opens.forge.clone_url(opens.repository), asking.Remembered()
    port = open_forge(opens.client, opens.dialect, url, token=WRITES, remembered=known)
    assert await port.may_write("eve") is writes
    assert known.seen == {}


@pytest.mark.parametrize("status", [403, 404])
async def test_rights_that_may_not_be_asked_are_none(opens: Opens, status: int) -> None:
    """Gitea answers 403 to who is no administrator of the repository, and then tells collaborators."""

    def interfere(method: str, path: str) -> Any:
        if path.endswith("/permission") and (status == 404 or opens.dialect == "gitea"):
            return status, {}, b"{}"
        if "/collaborators/" in path:
            return 422 if opens.dialect == "gitea" else 404, {}, b"{}"  # an account that is gone
        return (200, {}, b"[]") if "/members/all" in path else None

    opens.forge.interfere = interfere
    assert await opens().may_write("eve") is False
