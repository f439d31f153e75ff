"""`pavo task export`: all that is kept of a task, in one archive, for whom Pavo is not at hand."""

import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Final

import orjson
from cyclopts import Parameter
from pydantic import BaseModel

from pavo.artifacts.schemas import ArtifactOut
from pavo.cli import exit_codes
from pavo.cli.api_client import ApiClient
from pavo.cli.artifacts.commands import all_of, own_place, writing
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskRef, resolve
from pavo.cli.usage.client import UsageClient
from pavo.errors import NotFound
from pavo.gates.schemas import GatePage
from pavo.kit.clock import iso
from pavo.timeline.schemas import EventOut

FORMAT: Final = 1
"""Of the archive; raised when what is in it changes its meaning."""
_IN_MEMORY: Final = 1_000_000


def export(
    task: TaskRef,
    *,
    to: Annotated[
        str | None, Parameter(name=["--output-file", "-O"], help="The file to write. Default: task-ID.tar.gz.")
    ] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Write all that is kept of a task into a .tar.gz: it is there whole, or not at all.

    In it: task.json, events.jsonl, documents.jsonl (plans and report, with comments), gates.jsonl, transcript.jsonl,
    usage.json, log.txt, artifacts.jsonl and their content below artifacts/. Of a task that goes on: what was there.
    """
    with ApiClient.from_environment(url) as api:
        view = resolve(TaskClient(api), task)
        place = Path(to) if to is not None else own_place(f"task-{view.id}.tar.gz")
        with writing(place) as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            counts = _fill(_Archive(archive), api, view.id)
    told = {"file": str(place), **counts}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    Printer(output).show(told, lambda: render.good(render.page(), f"Written: {place}", words))
    return exit_codes.DONE


class _Archive:
    """An archive whose files are written one after the other."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def value(self, name: str, value: Any) -> None:
        self.pieces(name, [orjson.dumps(value, option=orjson.OPT_INDENT_2)])

    def lines(self, name: str, found: Iterable[BaseModel]) -> int:
        """JSON, a line for each; how many there were."""
        count = 0

        def pieces() -> Iterator[bytes]:
            nonlocal count
            for each in found:
                count += 1
                yield orjson.dumps(each.model_dump(mode="json"), option=orjson.OPT_APPEND_NEWLINE)

        self.pieces(name, pieces())
        return count

    def pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            file.writelines(pieces)
            self.add(name, file)

    def add(self, name: str, file: IO[bytes]) -> None:
        """Add what was written to the file."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = file.tell(), int(time.time()), 0o600
        file.seek(0)
        self._archive.addfile(entry, file)


def _fill(archive: _Archive, api: ApiClient, task_id: uuid.UUID) -> dict[str, int]:
    tasks, chosen = TaskClient(api), {"task_id": str(task_id)}
    archive.value("export.json", {"format": FORMAT, "task_id": str(task_id), "exported_at": iso(datetime.now(UTC))})
    archive.value("task.json", tasks.get(task_id).model_dump(mode="json"))
    archive.value("usage.json", UsageClient(api).usage(by="model", **chosen).model_dump(mode="json"))
    documents = (tasks.with_all_feedback(each) for each in tasks.documents(task_id))
    counts = {
        "events": archive.lines("events.jsonl", _events(tasks, task_id)),
        "documents": archive.lines("documents.jsonl", documents),
        "gates": archive.lines("gates.jsonl", _paged(api, chosen)),
        "messages": archive.lines("transcript.jsonl", _messages(tasks, task_id)),
    }
    archive.pieces("log.txt", _log(tasks, task_id))
    kept = [each for each in _with_files(all_of(api, task_id)) if _brought(archive, api, task_id, each)]
    return {**counts, "artifacts": archive.lines("artifacts.jsonl", kept)}


class _Exported(ArtifactOut):
    """An artifact, and what its content is called in the archive."""

    file: str


def _with_files(kept: Sequence[ArtifactOut]) -> Iterator[_Exported]:
    """Each under its name; but where one is called as a folder of another one, no file system could hold both."""
    folders = {parent.as_posix() for each in kept for parent in PurePosixPath(each.name).parents}
    for each in kept:
        name = f"{each.name}~{each.id}" if each.name in folders else each.name
        yield _Exported(**each.model_dump(), file=f"artifacts/{name}")


def _brought(archive: _Archive, api: ApiClient, task_id: uuid.UUID, kept: _Exported) -> bool:
    """Whether its content is in the archive now: the task may have replaced it meanwhile."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            api.download(f"/api/tasks/{task_id}/artifacts/{kept.id}", file)
        except NotFound:
            return False
        archive.add(kept.file, file)
    return True


def _events(tasks: TaskClient, task_id: uuid.UUID) -> Iterator[EventOut]:
    after = 0
    while items := tasks.events(task_id, after, 1000).items:
        yield from items
        after = items[-1].seq


def _messages(tasks: TaskClient, task_id: uuid.UUID) -> Iterator[BaseModel]:
    after = 0
    while (page := tasks.transcript(task_id, after)).items:
        yield from page.items
        after = page.next


def _log(tasks: TaskClient, task_id: uuid.UUID) -> Iterator[bytes]:
    after = 0
    while (page := tasks.log(task_id, after)).items:
        for chunk in page.items:
            yield chunk.text.encode()
        after = page.next


def _paged(api: ApiClient, chosen: dict[str, str]) -> Iterator[BaseModel]:
    asked: dict[str, Any] = {**chosen, "limit": 200}
    while True:
        page = api.ask(GatePage, "GET", "/api/gates", params=asked)
        yield from page.items
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor
