"""The walk of one attempt: execute, verify, publish, clean up; and what becomes of it where something else happens."""

import pytest
from temporalio.client import WorkflowFailureError

from pavo.jobs import contracts as c
from pavo.protocol.fleet_pb2 import Published, Result
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import executed, failure, kinds, published, verified


async def test_a_job_is_executed_verified_published_and_cleaned_up(given: Given) -> None:
    job = await given.job()
    assert await (await given.start(job)).result() == "DONE"
    wanted = [c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST, c.CLEANUP]
    assert kinds(given.agent.asked) == wanted
    row, attempt = await given.row(job), await given.attempt(job)
    assert (row.stage, row.outcome, row.commit) == ("DONE", "published", "c0ffee")
    assert (row.pull_request_url, row.pull_request_number) == ("https://forge.example/pulls/7", 7)
    assert (row.pull_request_state, row.error, row.lease_until) == ("open", None, None)
    assert (attempt.ended, attempt.cleanup_owed, attempt.commit) == ("done", False, "c0ffee")
    assert await given.stages(job) == ["VERIFYING", "PUBLISHING", "CLEANING", "DONE"]
    assert [event.type for event in await given.events(job)][-3:] == ["attempt_ended", "pull_request", "stage"]


async def test_a_failed_verification_goes_back_to_the_agent_and_is_repaired(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.RUN_VERIFICATION, verified("tests"), verified())
    assert await (await given.start(job)).result() == "DONE"
    assert given.agent.rounds(c.START_EXECUTION) == [(0, 0), (1, 0)]
    assert given.agent.rounds(c.RUN_VERIFICATION) == [(0, 0), (1, 0)]


async def test_a_verification_that_keeps_failing_fails_the_job_with_the_checks_names(given: Given) -> None:
    job = await given.job(rounds=1)
    given.agent.will(c.RUN_VERIFICATION, verified("tests"), verified("tests", "types"))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job)).result()
    row = await given.row(job)
    assert row.stage == "FAILED" and row.error is not None
    assert row.error["type"] == "VerificationFailed" and "tests, types" in row.error["cause"]
    assert kinds(given.agent.asked)[-1] == c.CLEANUP, "cleaned up after a failure too"
    assert c.CREATE_PULL_REQUEST not in kinds(given.agent.asked)


async def test_nothing_to_verify_goes_straight_to_the_pull_request(given: Given) -> None:
    job = await given.job(verify=False)
    await (await given.start(job)).result()
    assert kinds(given.agent.asked) == [c.START_EXECUTION, c.CREATE_PULL_REQUEST, c.CLEANUP]


async def test_an_execution_without_a_difference_is_done_without_a_pull_request(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, executed(changed=False))
    assert await (await given.start(job)).result() == "DONE"
    row = await given.row(job)
    assert (row.outcome, row.pull_request_url) == ("no_changes", None)
    assert kinds(given.agent.asked) == [c.START_EXECUTION, c.CLEANUP]


async def test_without_a_forge_the_branch_is_pushed(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.CREATE_PULL_REQUEST, published(url=""))
    await (await given.start(job)).result()
    row = await given.row(job)
    assert (row.outcome, row.pull_request_url, row.commit) == ("pushed", None, "c0ffee")


async def test_an_error_that_may_pass_is_asked_for_again_as_another_command(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, failure(retryable=True), failure(retryable=True))
    assert await (await given.start(job)).result() == "DONE"
    assert given.agent.rounds(c.START_EXECUTION) == [(0, 0), (0, 1), (0, 2)]
    assert set(given.agent.carried_out.values()) == {1}, "no command runs twice"
    assert given.agent.rounds(c.RUN_VERIFICATION) == [(0, 0)], "the errors of one command are not those of the next"


async def test_an_error_for_good_fails_the_job_with_its_cause_and_remedy(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, failure("NoSpace"))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job)).result()
    row, attempt = await given.row(job), await given.attempt(job)
    assert row.error == {"type": "NoSpace", "cause": "NoSpace: because.", "remedy": "Mend it."}
    assert (attempt.ended, attempt.reason) == ("failed", "NoSpace: NoSpace: because.")
    ended = [event for event in await given.events(job) if event.type == "attempt_ended"]
    assert ended[0].data["error"]["remedy"] == "Mend it."
    assert kinds(given.agent.asked) == [c.START_EXECUTION, c.CLEANUP]


async def test_odd_words_of_an_agent_keep_no_job_from_its_end(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, failure("ProgramFailed", cause="broken: \0", retryable=False))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job)).result()
    row = await given.row(job)
    assert row.stage == "FAILED" and row.error is not None
    assert row.error["cause"] == "broken: \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("javascript:alert(1)", 1),
        ("https://a:b@forge.example/1", 1),
        ("https://forge.example/1", 2**40),
        ("http://[", 1),
    ],
)
async def test_a_link_that_is_none_is_not_shown(given: Given, url: str, number: int) -> None:
    job = await given.job()
    given.agent.will(c.CREATE_PULL_REQUEST, published(url=url, number=number))
    assert await (await given.start(job)).result() == "DONE"
    row = await given.row(job)
    assert (row.outcome, row.pull_request_url, row.pull_request_number) == ("pushed", None, None)


async def test_a_rework_that_changes_nothing_says_so_and_keeps_what_was_published(given: Given) -> None:
    published_before = {"commit": "abc", "pull_request_url": "https://forge.example/pulls/7", "pull_request_number": 7}
    job = await given.job(kind="rework", feedback="Shorter.", **published_before)
    given.agent.will(c.START_EXECUTION, executed(changed=False))
    assert await (await given.start(job)).result() == "DONE"
    row, attempt = await given.row(job), await given.attempt(job)
    assert (row.outcome, row.commit, row.pull_request_number) == ("no_changes", "abc", 7)
    assert "changed nothing in answer to the review" in attempt.reason
    [note] = [event.data for event in await given.events(job) if event.type == "note"]
    assert note["text"] == attempt.reason and "rework" in note["remedy"]
    assert kinds(given.agent.asked) == [c.START_EXECUTION, c.CLEANUP]


async def test_what_is_published_without_a_commit_is_no_change(given: Given) -> None:
    job = await given.job(commit="abc")
    given.agent.will(c.CREATE_PULL_REQUEST, Result(published=Published()))
    assert await (await given.start(job)).result() == "DONE"
    row = await given.row(job)
    assert (row.outcome, row.commit, row.pull_request_url) == ("no_changes", "abc", None)
