"""Documents and their search, against a real database. Each test has its own organisation."""

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.corpus.domain import MAX_DOCUMENT_BYTES
from pavo.corpus.service import CorpusService, sample_files
from pavo.errors import InvalidInput, TooLarge
from pavo.kit.sql import Database


async def new_organisation(database: Database) -> uuid.UUID:
    accounts = AccountsService(database, HttpSettings.model_validate({"auth": "dev"}))
    return (await accounts.first_sight(f"{uuid.uuid4().hex}@example.com")).organisation_id


@pytest.fixture
def corpus(database: Database) -> CorpusService:
    return CorpusService(database)


@pytest.fixture
async def organisation(database: Database) -> uuid.UUID:
    return await new_organisation(database)


async def test_the_best_match_comes_first(corpus: CorpusService, organisation: uuid.UUID) -> None:
    assert await corpus.ensure_sample(organisation) == len(sample_files()) >= 6
    hits = await corpus.search(organisation, "Analyze churn drivers\nWhy do customers leave us?")
    assert hits[0].title == "Churn review, third quarter"
    assert [hit.rank for hit in hits] == sorted((hit.rank for hit in hits), reverse=True)
    assert "\n" not in hits[0].excerpt
    titles = [hit.title for hit in await corpus.search(organisation, "discount price seats", limit=1)]
    assert titles == ["Pricing and discounts"]


async def test_a_long_prompt_still_matches(corpus: CorpusService, organisation: uuid.UUID) -> None:
    await corpus.ensure_sample(organisation)
    prompt = " ".join(f"zzunknown{number}" for number in range(50)) + " churn"
    assert next(hit.title for hit in await corpus.search(organisation, prompt)) == "Churn review, third quarter"


async def test_a_word_in_the_title_weighs_more(corpus: CorpusService, organisation: uuid.UUID) -> None:
    await corpus.add(organisation, "Notes", "The weather in Lisbon is mild.", "b.md")
    await corpus.add(organisation, "Lisbon", "The weather is mild there.", "a.md")
    assert [hit.title for hit in await corpus.search(organisation, "lisbon")] == ["Lisbon", "Notes"]


async def test_adding_twice_changes_nothing(corpus: CorpusService, organisation: uuid.UUID) -> None:
    assert await corpus.add(organisation, "A", "text", "a.md") is True
    assert await corpus.add(organisation, "A", "text", "copy of a.md") is False
    assert await corpus.add(organisation, "A", "other text", "a.md") is True
    assert await corpus.count(organisation) == 2
    assert [entry.source for entry in await corpus.entries(organisation)] == ["a.md", "a.md"]


async def test_nobody_finds_what_is_anothers(
    corpus: CorpusService, database: Database, organisation: uuid.UUID
) -> None:
    other = await new_organisation(database)
    await corpus.add(organisation, "Secret", "the vault opens at noon", "a.md")
    assert await corpus.search(other, "vault secret noon") == []
    assert await corpus.entries(other) == []
    assert await corpus.add(other, "Secret", "the vault opens at noon", "a.md") is True


async def test_the_sample_comes_only_where_nothing_is(corpus: CorpusService, organisation: uuid.UUID) -> None:
    await corpus.add(organisation, "Own", "an own document", "a.md")
    assert await corpus.ensure_sample(organisation) == 0
    assert await corpus.count(organisation) == 1


@pytest.mark.parametrize(
    "query",
    ["", " ", "the of and", "\0", "\ud800", "'", "\\", "a & | ! ( ) <-> :*", "churn:* & !customers", "'; TRUNCATE zz",
     "http://zz.zz/zz?q=7&r='zz'\\zz", "C:\\temp\\x", "<b>churn</b>", "x" * 100_000, "ch\0urn", "漢字 ٣"],
)  # fmt: skip
async def test_any_text_is_a_query(corpus: CorpusService, organisation: uuid.UUID, query: str) -> None:
    await corpus.ensure_sample(organisation)
    hits = await corpus.search(organisation, query)
    assert bool(hits) == ("churn" in query)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=200), limit=st.integers(-5, 10**20))
async def test_no_query_breaks_it(corpus: CorpusService, organisation: uuid.UUID, query: str, limit: int) -> None:
    await corpus.ensure_sample(organisation)
    assert len(await corpus.search(organisation, query, limit)) <= max(0, limit)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(max_size=50), body=st.text(max_size=300))
async def test_a_text_is_added_as_it_is_or_refused(
    corpus: CorpusService, organisation: uuid.UUID, title: str, body: str
) -> None:
    try:
        await corpus.add(organisation, title, body, "a.md")
    except InvalidInput as error:
        assert error.field in ("title", "body")
    else:
        assert title.strip() in [entry.title for entry in await corpus.entries(organisation)]


async def test_files_say_what_is_wrong_with_them(corpus: CorpusService, organisation: uuid.UUID) -> None:
    for content, kind in (
        (b"\xff\xfe\x00", InvalidInput),
        (b"a\0b", InvalidInput),
        (b"", InvalidInput),
        (b" \n", InvalidInput),
        (b"x" * (MAX_DOCUMENT_BYTES + 1), TooLarge),
        (" ".join(f"{number:x}" for number in range(160_000)).encode(), TooLarge),
    ):
        with pytest.raises(kind, match=r"notes\.md"):
            await corpus.add_file(organisation, "notes.md", content)
    assert await corpus.count(organisation) == 0


async def test_a_files_title_is_its_first_heading(corpus: CorpusService, organisation: uuid.UUID) -> None:
    for name, content in (
        ("a.md", "\ufeffintro\n\n# The heading #\n\n# Another\ntext"),
        ("plain.txt", "no heading\n#not one either"),
        ("full.txt", "word " * 190_000),
    ):
        assert await corpus.add_file(organisation, name, content.encode())
    assert [entry.title for entry in await corpus.entries(organisation)] == ["The heading", "full.txt", "plain.txt"]
