"""The tools that come with Pavo, as they are installed: found, described, and of the caller's organisation."""

import uuid

from pavo.corpus.service import CorpusService
from pavo.kit.sql import Database
from pavo.tasks.work.context.reads import TaskCorpus
from pavo.tools.builtin.services import TaskServices
from pavo.tools.builtin.web import WebReader
from pavo.tools.contract import ToolContext
from pavo.tools.described import Tool
from pavo.tools.registry import ToolRegistry
from pavo.tools.running import Outcome, run_tool
from tests.tools.builtin.test_web import HERE, site
from tests.tools.rows import new_subject


async def run(name: str, services: TaskServices | None, /, **arguments: object) -> Outcome:
    tool = ToolRegistry.load().get(name)
    context = ToolContext("key", uuid.UUID(int=1), uuid.UUID(int=2), *([services] if services else []))
    return await run_tool(tool, tool.understood(arguments).arguments, context)


def test_they_are_installed() -> None:
    found = {each.name: each for each in ToolRegistry.load().all()}
    for name in ("http_get", "read_artifact", "search_corpus"):
        tool = found[name]
        assert isinstance(tool, Tool) and tool.effect == "read" and "ctx" not in tool.schema["properties"]


async def test_the_corpus_of_the_task_s_organisation_is_searched(database: Database) -> None:
    mine, theirs = (await new_subject(database))[0], (await new_subject(database))[0]
    corpus = CorpusService(database)
    await corpus.add(mine.organisation_id, "Pricing", "The zebra discount is 7 percent.", "a.md")
    await corpus.add(theirs.organisation_id, "Secret", "The zebra plans of others.", "b.md")
    services = TaskServices(TaskCorpus(corpus, mine.organisation_id), WebReader([], []))
    [hit] = (await run("search_corpus", services, query="zebra")).value
    assert hit["title"] == "Pricing" and "7 percent" in hit["excerpt"]
    assert (await run("search_corpus", services, query="unheard")).value == []


async def test_a_page_is_read_as_the_operator_allows(database: Database) -> None:
    services = TaskServices(TaskCorpus(CorpusService(database), uuid.UUID(int=2)), WebReader(["127.0.0.1:*"], HERE))
    async with site() as found:
        found.page("/", b"hello")
        outcome = await run("http_get", services, url=found.url("/"))
        assert outcome.value["text"] == "hello" and outcome.value["status"] == 200
    refused = await run("http_get", services, url="https://example.com/")
    assert refused.state == "failed" and "PAVO_HTTP_GET_HOSTS" in (refused.remedy or "")


async def test_without_a_worker_they_say_so() -> None:
    given = {"search_corpus": {"query": "x"}, "http_get": {"url": "https://a.example/"}, "read_artifact": {"name": "a"}}
    for name, arguments in given.items():
        outcome = await run(name, None, **arguments)
        assert outcome.state == "failed" and "There is no" in (outcome.error or "")
