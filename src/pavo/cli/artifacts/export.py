"""`pavo task export`: all that is kept of a task, in one archive, for whom Pavo is not at hand."""

import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from pavo.cli import exit_codes
from pavo.cli.api_client import ApiClient
from pavo.cli.artifacts.archive import Archive, brought, with_files
from pavo.cli.artifacts.commands import all_of, own_place, writing
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskRef, resolve
from pavo.cli.usage.client import UsageClient
from pavo.gates.schemas import GatePage
from pavo.timeline.schemas import EventOut


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
            counts = _fill(Archive(archive), api, view.id)
    told = {"file": str(place), **counts}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    Printer(output).show(told, lambda: render.good(render.page(), f"Written: {place}", words))
    return exit_codes.DONE


def _fill(archive: Archive, api: ApiClient, task_id: uuid.UUID) -> dict[str, int]:
    tasks, chosen = TaskClient(api), {"task_id": str(task_id)}
    archive.begin(task_id=str(task_id))
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
    kept = [each for each in with_files(all_of(api, task_id)) if brought(archive, api, f"/api/tasks/{task_id}", each)]
    return {**counts, "artifacts": archive.lines("artifacts.jsonl", kept)}


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
