"""HTTP of the corpus, for members of the organisation: parse, call one service method, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pavo.accounts.dependencies import OwnOrganisation
from pavo.corpus.dependencies import TheCorpus
from pavo.corpus.domain import MAX_QUERY
from pavo.corpus.schemas import (
    CorpusDocumentIn,
    CorpusDocumentOut,
    CorpusHitOut,
    CorpusHits,
    CorpusPage,
    CorpusTextOut,
)
from pavo.corpus.service import MAX_HITS
from pavo.kit.problem import problems

router = APIRouter(
    prefix="/api/organisations/{organisation_id}/corpus", tags=["corpus"], responses=problems(401, 404, 422)
)


@router.post(
    "",
    status_code=201,
    operation_id="add_corpus_document",
    responses={200: {"model": CorpusDocumentOut, "description": "It was there already."}},
)
async def add_corpus_document(
    corpus: TheCorpus, mine: OwnOrganisation, response: Response, new: CorpusDocumentIn
) -> CorpusDocumentOut:
    """Add a document, which the organisation's agents may search. The very same one is added once."""
    entry, created = await corpus.put(mine.organisation_id, new.title, new.body, new.source)
    if not created:
        response.status_code = 200
    return CorpusDocumentOut.model_validate(entry)


@router.get("", operation_id="list_corpus_documents")
async def list_corpus_documents(
    corpus: TheCorpus,
    mine: OwnOrganisation,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> CorpusPage:
    """The organisation's documents without their texts, newest first."""
    page = await corpus.page(mine.organisation_id, cursor, limit)
    items = [CorpusDocumentOut.model_validate(each) for each in page.items]
    return CorpusPage(items=items, next_cursor=page.next_cursor)


@router.get("/search", operation_id="search_corpus")
async def search_corpus(
    corpus: TheCorpus,
    mine: OwnOrganisation,
    q: Annotated[str, Query(max_length=MAX_QUERY)],
    limit: Annotated[int, Query(ge=1, le=MAX_HITS)] = 10,
) -> CorpusHits:
    """Documents that hold any of the words, the best first, as agents find them."""
    found = await corpus.search(mine.organisation_id, q, limit)
    return CorpusHits(items=[CorpusHitOut.model_validate(each) for each in found])


@router.get("/{document_id}", operation_id="get_corpus_document")
async def get_corpus_document(corpus: TheCorpus, mine: OwnOrganisation, document_id: uuid.UUID) -> CorpusTextOut:
    """One document with its text."""
    found = await corpus.get(mine.organisation_id, document_id)
    return CorpusTextOut(**CorpusDocumentOut.model_validate(found.entry).model_dump(), body=found.body)


@router.delete("/{document_id}", status_code=204, operation_id="delete_corpus_document")
async def delete_corpus_document(corpus: TheCorpus, mine: OwnOrganisation, document_id: uuid.UUID) -> None:
    """Remove a document: no search finds it any more."""
    await corpus.remove(mine.organisation_id, document_id)
