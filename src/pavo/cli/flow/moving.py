"""`pavo flow export` and `import`: all versions of an organisation's flows as one file, and from there to another
place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import orjson
import yaml
from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from yaml.events import AliasEvent, Event

from pavo.cli.exit_codes import DONE, FAILED
from pavo.cli.flow.client import FlowClient
from pavo.cli.flow.files import read_file
from pavo.cli.output import Output, Printer, print_json, say
from pavo.cli.parameters import OrganisationId, Url
from pavo.errors import Conflict, InvalidInput
from pavo.kit.json_values import encode_text

MAX_BYTES: Final = 200_000_000
"""Of a file that is imported."""


class ExportedVersion(BaseModel):
    """A version, as a file has it."""

    model_config = ConfigDict(extra="forbid")

    number: StrictInt = Field(ge=1)
    hash: str
    deprecated: str | None = None
    """Why, where it is."""
    definition: dict[str, Any]


class ExportedFlow(BaseModel):
    """All versions of a name."""

    model_config = ConfigDict(extra="forbid")

    name: str
    current: StrictInt
    """Number of the version that runs execute that name none."""
    versions: list[ExportedVersion]


class ExportedFlows(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    pavo_flows: Literal[1] = 1
    """The form of the file."""
    flows: list[ExportedFlow]


def export(
    name: Annotated[str | None, Parameter(name="FLOW", help="One flow; without it all of the organisation's.")] = None,
    /,
    *,
    to: Annotated[
        Path | None, Parameter(help="The file: JSON, or YAML where it is called so. Default: print it.")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace a file that is there.")] = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Write all versions of a flow, or of all flows, into one file."""
    with FlowClient.from_environment(url, org) as client:
        names = [name] if name is not None else sorted(each.name for each in client.flows({}))
        found = ExportedFlows(flows=[_exported(client, each) for each in names])
    document = found.model_dump()
    if to is None:
        print_json(document)
        return
    _write(to, document, overwrite=overwrite)
    count = sum(len(each.versions) for each in found.flows)
    told = f"Wrote {to}: {len(found.flows)} flows, {count} versions."
    Printer(output).show({"file": str(to), "flows": len(found.flows), "versions": count}, told)


def _exported(client: FlowClient, name: str) -> ExportedFlow:
    numbers = sorted(each.number for each in client.versions(name))
    read = [client.version(name, number) for number in numbers]
    current = client.flow(name).number
    versions = [
        ExportedVersion(
            number=each.number,
            hash=each.hash,
            deprecated=each.deprecated_reason if each.deprecated_at is not None else None,
            definition=each.definition,
        )
        for each in read
    ]
    return ExportedFlow(name=name, current=current, versions=versions)


def _write(to: Path, document: Mapping[str, Any], *, overwrite: bool) -> None:
    if to.suffix in (".yaml", ".yml"):
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)
    else:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
    try:
        with to.open("w" if overwrite else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        told = f"There is already {to}."
        raise InvalidInput(told, field="--to", remedy="Choose another name, or say --overwrite.") from error
    except OSError as error:
        remedy = "Name a file that can be written to."
        raise InvalidInput(f"{to}: {error.strerror or error}.", field="--to", remedy=remedy) from error


def import_flows(
    file: Annotated[Path, Parameter(help="What pavo flow export has written; - reads standard input.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Publish the versions of a file that are not there yet, in their order; deprecate those that were, and make those
    current that were. Done twice, it is the same. The exit code is 1 where something could not be imported."""
    given = _read(file)
    with FlowClient.from_environment(url, org) as client:
        importing = _Importing(client, given)
        importing.run()
    told: dict[str, Any] = {"published": importing.published, "there": importing.there}
    told |= {"renumbered": importing.renumbered, "failed": importing.failed}
    Printer(output).show(told, lambda: _tell(importing))
    return FAILED if importing.failed else DONE


def _read(file: Path) -> ExportedFlows:
    data = read_file(file, MAX_BYTES)
    remedy = "Give what pavo flow export has written."
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{file} has more than {MAX_BYTES:,} bytes.", field="file", remedy=remedy)
    try:
        return ExportedFlows.model_validate(_value(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"][:8])[:200]
        raise InvalidInput(f"{file}: {place}: {first['msg']}.", field="file", remedy=remedy) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: {str(error)[:300]}", field="file", remedy=remedy) from error


def _value(data: bytes) -> Any:
    if data.lstrip()[:1] == b"{":
        return orjson.loads(data)
    for event in cast("Iterator[Event]", yaml.parse(data, Loader=yaml.CSafeLoader)):
        if isinstance(event, AliasEvent):
            raise ValueError("it has aliases, which are not taken")
    return yaml.load(data, Loader=yaml.CSafeLoader)


class _Importing:
    """One import: flows that refer to others wait until these are there."""

    def __init__(self, client: FlowClient, given: ExportedFlows) -> None:
        self._client = client
        self._left = [(each, sorted(each.versions, key=lambda one: one.number)) for each in given.flows]
        self.published = self.there = 0
        self.renumbered: list[str] = []
        """Versions that got another number here: what refers to them by number means others."""
        self.failed: dict[str, str] = {}
        """By flow: why."""
        self._waits: dict[str, str] = {}
        self._numbers: dict[tuple[str, int], int] = {}

    def run(self) -> None:
        """Import all that can be."""
        progress = True
        while self._left and progress:
            progress, left = False, []
            for flow, versions in self._left:
                while versions and self._publish(flow.name, versions[0]):
                    versions.pop(0)
                    progress = True
                if versions:
                    left.append((flow, versions))
                else:
                    progress = True
                    self._finish(flow)
            self._left = left
        self.failed |= {flow.name: self._waits[flow.name] for flow, _ in self._left}

    def _publish(self, name: str, version: ExportedVersion) -> bool:
        try:
            found = self._client.publish(encode_text(version.definition))
        except InvalidInput as error:
            self._waits[name] = f"version {version.number}: {error.detail} {error.remedy or ''}".strip()
            return False
        if found.name != name or found.hash != version.hash:
            self.failed[name] = f"version {version.number} is not what its hash says: the file was changed"
        if found.number != version.number:
            self.renumbered.append(f"{name} {version.number} is {found.number} here")
        self._numbers[name, version.number] = found.number
        if found.is_new:
            self.published += 1
        else:
            self.there += 1
        return True

    def _finish(self, flow: ExportedFlow) -> None:
        for version in flow.versions:
            if version.deprecated is not None:
                number = self._numbers[flow.name, version.number]
                self._client.deprecate(flow.name, number, version.deprecated or "it was deprecated")
        current = self._numbers.get((flow.name, flow.current))
        if current is None or self._client.flow(flow.name).number == current:
            return
        try:
            self._client.roll_back(flow.name, current, "imported")
        except Conflict as error:
            self.failed[flow.name] = error.detail


def _tell(found: _Importing) -> None:
    say(f"{found.published} versions are new, {found.there} were there.")
    for each in found.renumbered:
        say(f"Another number: {each}. Flows that refer to it by number mean that one.")
    for name, why in found.failed.items():
        say(f"Not imported: {name}: {why}")
