"""`pavo job export`: all that is kept of a job, in one archive, for whom Pavo is not at hand."""

import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli import exit_codes
from pavo.cli.artifacts.archive import Archive, brought, with_files
from pavo.cli.artifacts.commands import own_place, writing
from pavo.cli.jobs.job_client import JobClient, JobRef
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import OrganisationId, Url


def export(
    job: JobRef,
    /,
    *,
    to: Annotated[
        str | None, Parameter(name=["--output-file", "-O"], help="The file to write. Default: job-ID.tar.gz.")
    ] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Write all that is kept of a job into a .tar.gz: it is there whole, or not at all.

    In it: job.json (with its attempts), events.jsonl, commands.jsonl (what its agents were told, and their results),
    log.jsonl, log.txt, artifacts.jsonl and their content below artifacts/. Of a job that goes on: what was there.
    """
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.resolve(job)
        place = Path(to) if to is not None else own_place(f"job-{found.id}.tar.gz")
        with writing(place) as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            counts = _fill(Archive(archive), jobs, found.id)
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    Printer(output).show({"file": str(place), **counts}, f"✓ Written: {place}\n  {words}")
    return exit_codes.DONE


def _fill(archive: Archive, jobs: JobClient, job_id: uuid.UUID) -> dict[str, int]:
    archive.begin(job_id=str(job_id))
    archive.value("job.json", jobs.get(job_id).model_dump(mode="json"))
    counts = {
        "events": archive.lines("events.jsonl", jobs.recorded(job_id)),
        "commands": archive.lines("commands.jsonl", jobs.commands(job_id)),
        "lines": archive.lines("log.jsonl", jobs.log_lines(job_id)),
    }
    archive.pieces("log.txt", _text(jobs, job_id))
    kept = with_files(list(jobs.artifacts(job_id)))
    brought_here = [each for each in kept if brought(archive, jobs.api, f"/api/jobs/{job_id}", each)]
    return {**counts, "artifacts": archive.lines("artifacts.jsonl", brought_here)}


def _text(jobs: JobClient, job_id: uuid.UUID) -> Iterator[bytes]:
    for line in jobs.log_lines(job_id):
        if line.gap:
            yield f"[{line.gap:,} lines were dropped here]\n".encode()
        yield f"{line.text}\n".encode()
