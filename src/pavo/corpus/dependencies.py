"""What the endpoints of the corpus are handed. `api.create_app` puts the `CorpusService` at `app.state.corpus`."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.corpus.service import CorpusService


async def _corpus(request: Request) -> CorpusService:
    found: CorpusService = request.app.state.corpus
    return found


TheCorpus = Annotated[CorpusService, Depends(_corpus)]
