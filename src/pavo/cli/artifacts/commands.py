"""`pavo task artifacts`: the files of a task; `pavo task artifact`: one of them, brought here."""

import os
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, Final, TypeAlias
from urllib.parse import quote

from cyclopts import Parameter

from pavo.artifacts.schemas import ArtifactOut, ArtifactPage
from pavo.cli import exit_codes
from pavo.cli.api_client import ApiClient
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.table import Listing
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskRef, resolve
from pavo.errors import InvalidInput
from pavo.kit.clock import iso

STDOUT: Final = "-"
Name: TypeAlias = Annotated[str, Parameter(name="NAME", help="Its name or its id.")]
Limit: TypeAlias = Annotated[int | None, Parameter(name=["--limit", "-n"], help="How many; all in a pipe.")]
ToFile: TypeAlias = Annotated[
    str | None,
    Parameter(
        name=["--output-file", "-O"],
        allow_leading_hyphen=True,
        help="The file to write; - is the output. Default: its name.",
    ),
]


def listing_of(noun: str) -> Listing[ArtifactOut]:
    """How the files of a task or a job are shown."""
    return Listing(
        "artifacts",
        {
            "NAME": lambda each: each.name,
            "BYTES": lambda each: f"{each.bytes:,}",
            "TYPE": lambda each: each.media_type,
            "KEPT": lambda each: iso(each.created_at),
            "ID": lambda each: each.id,
        },
        f"The {noun} has no artifacts.",
        f"pavo {noun} artifacts",
    )


def artifacts(
    task: TaskRef,
    *,
    limit: Limit = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """The files that the task keeps, by name."""
    with ApiClient.from_environment(url) as api:
        found = all_of(api, resolve(TaskClient(api), task).id)
    listing_of("task").show(output, found, lambda each: each.model_dump(mode="json"), limit)


def artifact(
    task: TaskRef,
    name: Name,
    /,
    *,
    to: ToFile = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Bring one of the task's files here. It is there whole, or not at all."""
    with ApiClient.from_environment(url) as api:
        task_id = resolve(TaskClient(api), task).id
        return bring(api, f"/api/tasks/{task_id}", name, to, output)


def bring(api: ApiClient, of: str, name: str, to: str | None, output: Output) -> int:
    """Download a file and tell so; the command's exit code.

    Args:
        of: where the API has whose it is.
        to: the file to write; `STDOUT`: the output; None: its own name, in this folder.
    """
    path = f"{of}/artifacts/{quote(name)}"
    if to == STDOUT:
        api.download(path, sys.stdout.buffer)
        return exit_codes.DONE
    place = Path(to) if to is not None else own_place(name)
    with writing(place) as file:
        size = api.download(path, file)
    told = {"file": str(place), "bytes": size}
    Printer(output).show(told, lambda: render.good(render.page(), f"Written: {place}", f"{size:,} bytes"))
    return exit_codes.DONE


def all_of(api: ApiClient, task_id: uuid.UUID) -> list[ArtifactOut]:
    """What the task keeps, by name."""
    found: list[ArtifactOut] = []
    asked: dict[str, Any] = {"limit": 1000}
    while True:
        page = api.ask(ArtifactPage, "GET", f"/api/tasks/{task_id}/artifacts", params=asked)
        found += page.items
        if page.next_cursor is None:
            return found
        asked["cursor"] = page.next_cursor


def own_place(name: str) -> Path:
    """In this folder, under the last part of its name, where nothing is of that name."""
    place = Path(name.rpartition("/")[2] or name)
    if place.name in ("", ".", "..") or os.path.lexists(place):
        raise InvalidInput(f"{place} is there already.", field="-O", remedy="Name another file: -O FILE.")
    return place


@contextmanager
def writing(place: Path) -> Generator[IO[bytes]]:
    """A file of this user alone that is there whole once the block is left, or not at all.

    Raises:
        InvalidInput: it cannot be written.
    """
    if not place.name:
        raise InvalidInput(f"{str(place)!r} is no file.", field="-O", remedy="Name a file: -O FILE.")
    draft = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with open(draft, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            yield file
        draft.replace(place)
    except OSError as error:
        raise InvalidInput(f"{place} cannot be written: {error.strerror}.", field="-O") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
