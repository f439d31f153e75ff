"""Backup and restore of a deployment on this machine, running or not, and the proof of a backup on a scratch server."""

import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from pavo.deploy.local import native
from pavo.deploy.local.components import temporal_schema as schema
from pavo.deploy.local.components.base import Options
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.dev_server import dev_server_versions
from pavo.deploy.local.components.postgres import PostgresServer, Programs
from pavo.deploy.local.dumps import database_dump as backup
from pavo.deploy.local.dumps import sqlite_file
from pavo.deploy.local.dumps import unfinished_restore as restoring
from pavo.deploy.local.dumps.database_dump import Manifest
from pavo.deploy.local.local_target import Target, urls
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.ports import LOOPBACK, free_port
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.local.machine.threads import in_thread
from pavo.deploy.local.stack import EmbeddedStack, LocalStack, end_orphans, remove_data
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.compatibility import parse
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout, load_secrets
from pavo.deploy.model.state import running
from pavo.errors import ConfigurationError, Conflict, Unavailable

Say = Callable[[str], None]
LOCAL = (TargetName.EMBEDDED, TargetName.NATIVE)


def must_be_here(layout: Layout, *targets: TargetName) -> Deployment:
    """What was chosen for a deployment of this machine.

    Raises:
        ConfigurationError: there is none, or it is of another kind.
    """
    chosen = deployments.load(layout)
    if chosen is None and (layout.root / "postgres").exists():  # `pavo up` chooses nothing that would be written down
        chosen = Deployment(target=TargetName.EMBEDDED)
    if chosen is None or chosen.target not in targets:
        raise ConfigurationError(
            f"There is no {' or '.join(targets)} deployment in {layout.root}.",
            field="--data-dir",
            remedy="Name its data directory; compose and kubernetes have their own ways, see docs/deployment.md.",
        )
    if chosen.target is TargetName.EMBEDDED:  # its server is that of the wheel, whatever was the pin at its first start
        return chosen.model_copy(update={"temporal_version": dev_server_versions()[0] or chosen.temporal_version})
    return chosen


def must_be_native(layout: Layout) -> Deployment:
    """What was chosen for a native deployment.

    Raises:
        ConfigurationError: there is none here.
    """
    return must_be_here(layout, TargetName.NATIVE)


@asynccontextmanager
async def postgres_of(layout: Layout, chosen: Deployment) -> AsyncGenerator[DatabaseServer]:
    """The deployment's PostgreSQL: the running one, an outside one, or its own started for this alone.

    A restore that was interrupted is ended before, and what a killed supervisor left behind where nothing runs.

    Raises:
        Conflict: somebody else works on the data directory.
    """
    if chosen.target is TargetName.EMBEDDED:
        state = running(layout.root)
        if state is not None:
            yield DatabaseServer.of(state.environment["DATABASE_URL"])
            return
        async with EmbeddedStack(layout.root, parts=("postgres",)) as stack:
            yield DatabaseServer.of(stack.environment["DATABASE_URL"])
        return
    server = native.database_server(chosen, load_secrets(layout))
    if running(layout.root):
        yield server
        return
    if chosen.outside_postgres:
        with take_lock(layout):  # so that nobody starts meanwhile
            await end_orphans(layout)
            await in_thread(restoring.finish, layout, server)
            yield server
        return
    async with LocalStack(layout.root, native.native, parts=("postgres",)):
        yield server


def client_programs(chosen: Deployment, server: DatabaseServer) -> tuple[Path, Programs]:
    """The folder with pg_dump and pg_restore, and the programs that it belongs to: of the server's own major, or newer.

    Raises:
        ConfigurationError: all that are here are older than the server.
    """
    if not chosen.outside_postgres:
        programs = native.postgres_programs(chosen.postgres)
        return programs.home(unprivileged()) / "bin", programs
    with schema.connect(server, "postgres") as connection:
        major = connection.info.server_version // 10_000
    found: list[Programs] = []
    for source in ("machine", "wheel"):
        try:
            found.append(native.postgres_programs(source))
        except ConfigurationError:
            continue
    fitting = sorted((each for each in found if each.major >= major), key=lambda each: each.major)
    if not fitting:
        raise ConfigurationError(
            f"The server is PostgreSQL {major}, and no pg_dump here is as new.",
            field="--postgres",
            remedy=f"Install PostgreSQL {major}'s client programs.",
        )
    return fitting[0].home(unprivileged()) / "bin", fitting[0]


async def take_backup(layout: Layout, folder: Path | None, *, verify: bool, say: Say) -> tuple[Path, Manifest]:
    """Back up all databases of one moment, and prove the backup on a scratch server.

    Raises:
        ConfigurationError: nothing native is deployed here.
        Unavailable: PostgreSQL or one of its programs failed.
    """
    chosen = must_be_here(layout, *LOCAL)
    embedded = chosen.target is TargetName.EMBEDDED
    place = folder or layout.root / "backups" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    async with postgres_of(layout, chosen) as server:
        home, programs = await in_thread(client_programs, chosen, server)
        manifest = await in_thread(
            backup.take,
            server,
            home,
            place,
            target=chosen.target,
            temporal_version=chosen.temporal_version,
            shards=chosen.shards,
            worker_build=chosen.worker_build,
            databases=("pavo",) if embedded else backup.DATABASES,
            sqlite=layout.temporal_file if embedded else None,
        )
    say(f"Backed up into {place}; writers waited {manifest.locked_ms:.0f} ms.")
    if verify:
        await prove(place, programs)
        manifest = manifest.model_copy(update={"verified": True})
        backup.write_manifest(place, manifest)
        say("Proven: restored into a scratch server, every table counted.")
    return place, manifest


async def prove(place: Path, programs: Programs) -> None:
    """Restore into a scratch server, which is gone afterwards.

    Raises:
        PavoError: it cannot be restored, or its tables have other counts.
    """
    manifest = backup.read_manifest(place)
    with tempfile.TemporaryDirectory(prefix="pavo-scratch-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        try:
            async with scratch_server(root, programs) as server:
                await in_thread(backup.restore_beside, server, programs.home(unprivileged()) / "bin", place, manifest)
            for each in manifest.databases.values():
                if each.file.endswith(".db") and sqlite_file.count(place / each.file) != each.rows:
                    raise Unavailable(f"{place / each.file} is not whole.", dependency="temporal")
        finally:
            remove_data(root / "data")


@asynccontextmanager
async def scratch_server(root: Path, programs: Programs) -> AsyncGenerator[DatabaseServer]:
    """A PostgreSQL of its own with nothing in it."""
    layout = Layout(root / "data")
    port = free_port()

    def build(found: Layout) -> Target:
        postgres = PostgresServer(
            found,
            unprivileged(),
            programs,
            port=port,
            password=load_secrets(found).postgres,
            ephemeral=True,
            databases=(),
            settled=lambda _url: None,
        )
        return Target("scratch", Options(ephemeral=True), {"postgres": postgres}, {}, urls(0, ""), {})

    async with LocalStack(layout.root, build):
        yield DatabaseServer(LOOPBACK, port, "pavo", load_secrets(layout).postgres, "disable")


async def restore_backup(layout: Layout, place: Path, say: Say) -> Manifest:
    """Put a backup in the place of a stopped deployment's databases.

    Until all of it is restored beside them, the old databases stay; from then on it is ended, if need be by the next
    start.

    Raises:
        Conflict: the deployment runs, or its Temporal is older than the backup's.
        NotFound: there is no whole backup.
    """
    chosen = must_be_here(layout, *LOCAL)
    manifest = backup.read_manifest(place)
    _must_fit(chosen, manifest)
    if running(layout.root):
        raise Conflict("The deployment runs.", field="--data-dir", remedy="Stop it first: pavo deploy stop")
    async with postgres_of(layout, chosen) as server:
        chosen = must_be_here(layout, *LOCAL)  # an older restore was ended just now, if it had been interrupted
        _must_fit(chosen, manifest)
        home, _ = await in_thread(client_programs, chosen, server)
        names = backup.of_postgres(manifest)
        deployments.save(layout, chosen.model_copy(update={"copying": names}))
        await in_thread(backup.restore_beside, server, home, place, manifest)
        if chosen.target is TargetName.EMBEDDED:
            await in_thread(sqlite_file.put_beside, place / manifest.databases["temporal"].file, layout.temporal_file)
        deployments.save(layout, _decided(chosen, manifest, names))
        await in_thread(restoring.finish, layout, server)
    again = "pavo up" if chosen.target is TargetName.EMBEDDED else "pavo deploy start"
    say(f"Restored what was backed up at {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC. Start it: {again}")
    for line in _to_be_picked_up(chosen, manifest):
        say(line)
    return manifest


def _must_fit(chosen: Deployment, manifest: Manifest) -> None:
    """Refuse a backup that cannot be restored into this deployment.

    Raises:
        Conflict: its target is another one, or its Temporal is older.
    """
    if manifest.target != chosen.target:
        raise Conflict(
            f"The backup is of a deployment on the target {manifest.target}, and this one is {chosen.target}.",
            field="BACKUP",
            remedy="Restore it into a data directory of that target.",
        )
    if parse(chosen.temporal_version)[:2] < parse(manifest.temporal_version)[:2]:
        raise Conflict(
            f"The backup is of Temporal {manifest.temporal_version}; {chosen.temporal_version} cannot read it.",
            field="BACKUP",
            remedy=f"Deploy Temporal {manifest.temporal_version} into a new --data-dir, and restore there.",
        )


def _to_be_picked_up(chosen: Deployment, manifest: Manifest) -> list[str]:
    """What to run where the restored tasks are pinned to a build that the deployment's workers do not carry.

    A backup of workers without versions needs nothing: the first version that polls is made current, and takes theirs.
    """
    was, now = manifest.worker_build, chosen.worker_build
    if not was or was == now:
        return []
    have = f"the build {now}" if now else "none"
    command = f"--set-current {now} --take-over {was}" if now else f"--roll {was}"
    return [
        f"! Its tasks are with workers of the build {was}; this deployment's have {have}, and would leave them alone. "
        "Look whether the installed code can go on with them: pavo deploy check",
        f"  → Once it runs: pavo deploy workers {command}",
    ]


def _decided(chosen: Deployment, manifest: Manifest, names: list[str]) -> Deployment:
    """With the restored databases to come. The data belong to the server that wrote them: its version and its shards
    come back with them, save in the embedded target, where a wheel brings the server. Programs that were named are of
    the version before."""
    decided: dict[str, object] = {"restoring": names, "copying": []}
    if chosen.target is not TargetName.EMBEDDED:
        decided |= {"temporal_version": manifest.temporal_version, "shards": manifest.shards}
        if manifest.temporal_version != chosen.temporal_version:
            decided["temporal_bin"] = None
    return chosen.model_copy(update=decided)
