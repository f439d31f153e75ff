"""`pavo corpus`: an organisation's documents."""

import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from pavo.cli.admin.operators import DataDir, OrganisationName, connected_operator, local_time
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing, table
from pavo.corpus.domain import MAX_DOCUMENT_BYTES, CorpusEntry
from pavo.errors import InvalidInput

corpus_app = App(
    name="corpus", help="An organisation's documents, which its agents may search.", help_epilogue=epilogue("corpus")
)


@corpus_app.command(name="add")
async def add_documents(
    *files: Path, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Add text files of at most 1 MB; one that is there already changes nothing.

    Parameters
    ----------
    files
        Markdown or other UTF-8 text; its title is its first heading, else its name.
    """
    if not files:
        raise InvalidInput("No file is named.", field="files", remedy="pavo corpus add FILE…")
    contents = [(path.name, _read(path)) for path in files]
    added: dict[str, bool] = {}
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        for path, (name, content) in zip(files, contents, strict=True):
            added[str(path)] = await operator.corpus.add_file(organisation_id, name, content)
    text = "\n".join(f"✓ {path} {'added' if new else 'was there already'}" for path, new in added.items())
    Printer(output).show({"organisation_id": str(organisation_id), "files": added}, text)


def _read(path: Path) -> bytes:
    """The content, cut one byte after what a document may have: by that the service sees that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.", field="files", remedy="Name a text file that exists."
        ) from error


@corpus_app.command(name="sample")
async def add_sample(*, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """Give an organisation without documents the sample ones (in dev mode every new one begins with them)."""
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        added = await operator.corpus.ensure_sample(organisation_id)
    text = f"✓ {added} documents added" if added else "It has documents; nothing was added."
    Printer(output).show({"organisation_id": str(organisation_id), "added": added}, text)


@corpus_app.command(name="list")
async def list_documents(
    *, limit: Limit = None, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List an organisation's documents."""
    async with connected_operator(data_dir) as operator:
        found = await operator.corpus.entries(await operator.organisation(org))
    _ENTRIES.show(output, found, asdict, limit)


_ENTRIES: Final[Listing[CorpusEntry]] = Listing(
    "documents",
    {
        "TITLE": lambda entry: entry.title,
        "SOURCE": lambda entry: entry.source,
        "BYTES": lambda entry: f"{entry.size:,}",
        "ADDED": lambda entry: local_time(entry.created_at),
        "ID": lambda entry: entry.id,
    },
    nothing="There are no documents. Add some: pavo corpus add FILE…",
    command="pavo corpus list",
)


@corpus_app.command(name="show")
async def show_document(
    document: uuid.UUID, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Show a document's text.

    Parameters
    ----------
    document
        Its id, as `pavo corpus list` shows it.
    """
    async with connected_operator(data_dir) as operator:
        found = await operator.corpus.get(await operator.organisation(org), document)
    Printer(output).show({**asdict(found.entry), "body": found.body}, found.body)


@corpus_app.command(name="remove")
async def remove_documents(
    *documents: uuid.UUID, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Remove documents: no search finds them any more.

    Parameters
    ----------
    documents
        Their ids, as `pavo corpus list` shows them.
    """
    if not documents:
        raise InvalidInput("No document is named.", field="documents", remedy="pavo corpus remove ID…")
    async with connected_operator(data_dir) as operator:
        organisation_id = await operator.organisation(org)
        for document in documents:
            await operator.corpus.remove(organisation_id, document)
    removed = [str(document) for document in documents]
    Printer(output).show({"organisation_id": str(organisation_id), "removed": removed}, f"✓ {len(removed)} removed")


@corpus_app.command(name="search")
async def search_documents(
    query: str,
    /,
    *,
    org: OrganisationName = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 10,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Search an organisation's documents as its agents do, the best first.

    Parameters
    ----------
    query
        Words, any of which may match.
    limit
        Hits at most.
    """
    async with connected_operator(data_dir) as operator:
        hits = await operator.corpus.search(await operator.organisation(org), query, limit)
    rows = [(f"{hit.rank:.2f}", hit.title, hit.excerpt) for hit in hits]
    Printer(output).show(
        {"hits": [asdict(hit) for hit in hits]},
        lambda: table(("RANK", "TITLE", "EXCERPT"), rows, nothing="Nothing matches."),
    )


give_examples(corpus_app, "corpus")
