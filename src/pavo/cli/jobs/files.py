"""`pavo job artifacts`: a job's files, such as its patch; `pavo job artifact`: one of them, brought here."""

from pavo.cli.artifacts.commands import Limit, Name, ToFile, bring, listing_of
from pavo.cli.jobs.job_client import JobClient, JobRef
from pavo.cli.output import Output
from pavo.cli.parameters import OrganisationId, Url


def artifacts(
    job: JobRef, /, *, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """The files that the job keeps, by name: what it has changed (patch), how it went (report); of attempts before the
    newest below epoch-N/."""
    with JobClient.from_environment(url, org) as jobs:
        found = list(jobs.artifacts(jobs.resolve(job).id))
    listing_of("job").show(output, found, lambda each: each.model_dump(mode="json"), limit)


def artifact(
    job: JobRef,
    name: Name,
    /,
    *,
    to: ToFile = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Bring one of the job's files here. It is there whole, or not at all."""
    with JobClient.from_environment(url, org) as jobs:
        return bring(jobs.api, f"/api/jobs/{jobs.resolve(job).id}", name, to, output)
