"""The port against a real Gitea: what it does, in the order in which jobs meet it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from examples.jobs.gitea import Gitea

from pavo.errors import AlreadyProposed, BranchMissing, ForgeDenied, ForgeError, NoDifference, PavoError
from pavo.forges.opening import open_forge
from pavo.forges.port import CLOSED, FAILURE, MAX_BODY, MERGED, OPEN, PENDING, SUCCESS, CommitStatus, Forge, Proposal
from pavo.forges.proposing import propose
from tests.forges.real import OWNER, READER, STRANGER, WRITER, WRITES, merge, tip

pytestmark = [pytest.mark.native, pytest.mark.timeout(180)]
HEAD = "pavo/work"
Opens = Callable[..., Forge]


@pytest.fixture
def opens(connections: httpx2.AsyncClient, gitea: Gitea, private: str) -> Opens:
    """The port, as the one who writes has it, or with another token."""

    def open_it(token: str | None = None) -> Forge:
        shown = gitea.add_token(WRITER, WRITES) if token is None else token
        return open_forge(connections, "gitea", gitea.clone_url(private), token=shown)

    return open_it


@pytest.fixture
def proposal(gitea: Gitea, private: str) -> Proposal:
    return Proposal(HEAD, "main", "Fix it", "What was asked.", tip(gitea, private, HEAD))


async def test_an_open_one_is_updated_and_not_doubled(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    first = await propose(port, proposal)
    again = await propose(port, replace(proposal, title="Fix it well", body="And what was done."))
    assert (first.updated, again.updated) == (False, True)
    assert first.pull_request.number == again.pull_request.number
    assert (again.pull_request.title, again.pull_request.state) == ("Fix it well", OPEN)
    assert (again.pull_request.commit, again.pull_request.author) == (proposal.commit, WRITER)
    (there,) = gitea.of(private)
    assert there.body == "And what was done." and await port.get(there.number) == again.pull_request
    assert again.pull_request.url == f"{gitea.url}/{private}/pulls/{there.number}"


async def test_after_a_merge_the_same_head_is_opened_again_with_more_commits_alone(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    first = (await propose(port, proposal)).pull_request
    merge(gitea, private, first.number, "merge")
    same = await propose(port, proposal)
    assert same.updated and (same.pull_request.number, same.pull_request.state) == (first.number, MERGED)
    more = gitea.commit(private, HEAD, {"more.txt": "more\n"}, "More")
    second = await propose(port, replace(proposal, commit=more))
    assert not second.updated and second.pull_request.number != first.number
    assert (await port.find(HEAD))[0].state == OPEN
    merge(gitea, private, second.pull_request.number, "squash")
    assert (await port.get(second.pull_request.number)).state == MERGED
    assert [each.number for each in await port.find(HEAD)] == [second.pull_request.number, first.number]


async def test_a_merged_one_whose_branch_is_gone_is_still_known(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    first = (await propose(port, proposal)).pull_request
    merge(gitea, private, first.number, "rebase")
    gitea.ask("DELETE", f"/repos/{private}/branches/{HEAD}")
    assert [(each.head, each.commit, each.state) for each in await port.find(HEAD)] == [(HEAD, proposal.commit, MERGED)]


async def test_one_that_was_closed_is_told_as_closed_and_then_as_open(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    made = (await propose(port, proposal)).pull_request
    gitea.ask("PATCH", f"/repos/{private}/pulls/{made.number}", {"state": "closed"}, OWNER)
    assert (await propose(port, proposal)).pull_request.state == CLOSED and len(gitea.of(private)) == 1
    gitea.ask("PATCH", f"/repos/{private}/pulls/{made.number}", {"state": "open"}, OWNER)
    assert (await propose(port, proposal)).pull_request.state == OPEN and len(gitea.of(private)) == 1


async def test_what_it_refuses(opens: Opens, proposal: Proposal, gitea: Gitea, private: str) -> None:
    port = opens()
    for wrong in (replace(proposal, head="pavo/nowhere"), replace(proposal, base="nowhere")):
        with pytest.raises(BranchMissing) as missing:
            await port.create(wrong)
        assert "nowhere" in (missing.value.remedy or "")
    with pytest.raises(NoDifference):
        await port.create(replace(proposal, head="main"))
    await port.create(proposal)
    with pytest.raises(AlreadyProposed):
        await port.create(proposal)
    assert len(gitea.of(private)) == 1
    await port.create(replace(proposal, head="pavo/same"))  # it is taken, and says nothing: agents look before


async def test_a_repository_that_is_not_there_is_named(connections: httpx2.AsyncClient, gitea: Gitea) -> None:
    token = gitea.add_token(WRITER, WRITES)
    port = open_forge(connections, "gitea", gitea.clone_url(f"{OWNER}/nothing"), token=token)
    for ask in (port.find(HEAD), port.get(1), port.is_private()):
        with pytest.raises(ForgeError) as none:
            await ask
        assert f"{OWNER}/nothing" in (none.value.remedy or "")


async def test_tokens_that_may_not_are_refused_with_what_to_do(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    made = gitea.ask("POST", f"/users/{WRITER}/tokens", {"name": "to-revoke", "scopes": list(WRITES)}, WRITER)
    revoked = made["sha1"]
    assert await opens(revoked).find(HEAD) == []
    gitea.ask("DELETE", f"/users/{WRITER}/tokens/to-revoke", user=WRITER)
    refused = [
        (revoked, "not valid"),
        ("f" * 40, "not valid"),
        (gitea.add_token(WRITER, ["read:repository"]), "right to write"),
        (gitea.add_token(WRITER, ["write:issue"]), "right to write"),
        (gitea.add_token(READER, ["read:repository", "write:issue"]), "right to write"),
    ]
    for token, words in refused:
        with pytest.raises(ForgeDenied) as denied:
            await propose(opens(token), proposal)
        assert words in (denied.value.remedy or ""), denied.value.detail
        assert token not in str(vars(denied.value))
    with pytest.raises(ForgeError) as foreign:
        await propose(opens(gitea.add_token(STRANGER, WRITES)), proposal)
    assert private in (foreign.value.remedy or "")
    assert gitea.of(private) == []


async def test_comments_without_their_scope_are_refused(opens: Opens, proposal: Proposal, gitea: Gitea) -> None:
    port = opens(gitea.add_token(WRITER, ["write:repository"]))
    made = (await propose(port, proposal)).pull_request
    with pytest.raises(ForgeDenied, match="scope"):
        await port.comments(made.number, None)


async def test_a_draft_stays_what_people_made_of_it(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    made = (await propose(port, replace(proposal, draft=True))).pull_request
    assert made.draft and made.title == "Fix it"
    again = (await propose(port, replace(proposal, title="Fix it well"))).pull_request
    assert again.draft and again.title == "Fix it well" and gitea.of(private)[0].title == "WIP: Fix it well"
    gitea.ask("PATCH", f"/repos/{private}/pulls/{made.number}", {"title": "Fix it well"}, OWNER)
    ready = (await propose(port, replace(proposal, title="Fix it", draft=True))).pull_request
    assert not ready.draft and gitea.of(private)[0].title == "Fix it"


async def test_long_texts_are_cut(opens: Opens, proposal: Proposal, gitea: Gitea, private: str) -> None:
    await propose(opens(), replace(proposal, title="wörd\n" * 500, body="b" * (MAX_BODY + 1), draft=True))
    (there,) = gitea.of(private)
    assert len(there.title) <= 255 and there.body.endswith("(cut here)")


async def test_comments_and_reviews_are_read_from_a_moment_on(
    opens: Opens, proposal: Proposal, gitea: Gitea, private: str
) -> None:
    port = opens()
    made = (await propose(port, proposal)).pull_request
    pull = f"/repos/{private}/pulls/{made.number}"
    gitea.ask("POST", f"/repos/{private}/issues/{made.number}/comments", {"body": "To the whole."}, READER)
    lines = [{"path": "work.txt", "body": "Rather so.", "new_position": 1}]
    review = {"body": "Please mend this.", "event": "REQUEST_CHANGES", "comments": lines, "commit_id": proposal.commit}
    gitea.ask("POST", f"{pull}/reviews", review, OWNER)
    gitea.ask("POST", f"{pull}/reviews", {"body": "Not sent yet.", "comments": []}, OWNER)  # pending: his alone
    await port.comment(made.number, "I am at it.")
    told = await port.comments(made.number, None)
    said = {(each.author, each.text, each.path, each.line) for each in told}
    assert said == {
        (READER, "To the whole.", "", None),
        (OWNER, "Please mend this.", "", None),
        (OWNER, "Rather so.", "work.txt", 1),
        (WRITER, "I am at it.", "", None),
    }
    assert len({each.id for each in told}) == 4
    newest = max(each.at for each in told)
    assert {each.id for each in await port.comments(made.number, newest)} <= {each.id for each in told}
    assert await port.comments(made.number, newest + timedelta(seconds=1)) == []


async def test_who_may_write(opens: Opens, gitea: Gitea, private: str) -> None:
    port = opens()
    assert [await port.may_write(each) for each in (OWNER, WRITER, STRANGER, "nobody")] == [True, True, False, False]
    assert await port.may_write(READER)  # who may not be told rights is told collaborators
    gitea.ask("PUT", f"/repos/{private}/collaborators/{WRITER}", {"permission": "admin"})
    assert [await opens().may_write(each) for each in (OWNER, WRITER, READER, STRANGER)] == [True, True, False, False]
    assert await port.is_private()
    gitea.ask("PATCH", f"/repos/{private}", {"private": False}, OWNER)
    assert not await port.is_private()


async def test_a_commit_has_a_status(opens: Opens, proposal: Proposal, gitea: Gitea, private: str) -> None:
    port = opens()
    for state, text in ((PENDING, "checks run"), (FAILURE, "1 of 2 failed"), (SUCCESS, "2 checks passed")):
        await port.set_commit_status(proposal.commit, CommitStatus(state, "pavo/verify", text, "http://x/y"))
    told: Any = gitea.ask("GET", f"/repos/{private}/commits/{proposal.commit}/status")
    assert told["state"] == "success"
    assert [(each["context"], each["description"], each["target_url"]) for each in told["statuses"]] == [
        ("pavo/verify", "2 checks passed", "http://x/y")
    ]
    with pytest.raises(PavoError):  # Gitea answers 500
        await port.set_commit_status("f" * 40, CommitStatus(SUCCESS, "pavo/verify", "of nothing"))


async def test_times_are_moments(opens: Opens, proposal: Proposal, gitea: Gitea, private: str) -> None:
    """Gitea's are without fractions and in its own zone."""
    port = opens()
    made = (await propose(port, proposal)).pull_request
    await port.comment(made.number, "Now.")
    (told,) = await port.comments(made.number, None)
    assert isinstance(told.at, datetime) and told.at.tzinfo is not None
    assert [each.text for each in await port.comments(made.number, told.at)] == ["Now."]
