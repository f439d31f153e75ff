"""Puts a backup in the place of what a deployment on this machine keeps."""

from pathlib import Path

from pavo.deploy.backups.postgres_access import client_programs, postgres_of
from pavo.deploy.local.deployed import LOCAL, must_be_here
from pavo.deploy.local.dumps import artifact_files, database_dump, sqlite_file, unfinished_restore
from pavo.deploy.local.dumps.database_dump import Manifest
from pavo.deploy.local.machine.blocking_work import in_thread
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.compatibility import parse
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.progress import Say
from pavo.deploy.model.sealing_key import sealing_environment
from pavo.deploy.model.state import running
from pavo.errors import Conflict


async def restore_backup(layout: Layout, place: Path, say: Say) -> Manifest:
    """Put a backup in the place of a stopped deployment's databases.

    The old databases stay until everything is restored beside them. From then on the restore will be completed, after a
    crash by the next start.

    Raises:
        Conflict: the deployment runs, or its Temporal is older than the backup's.
        NotFound: there is no whole backup.
    """
    chosen = must_be_here(layout, *LOCAL)
    manifest = database_dump.read_manifest(place)
    _must_fit(chosen, manifest)
    _must_be_readable(layout, manifest)
    if running(layout.root):
        raise Conflict("The deployment runs.", field="--data-dir", remedy="Stop it first: pavo deploy stop")
    async with postgres_of(layout, chosen) as server:
        # Again: opening PostgreSQL has ended a restore that was interrupted, and that changes what is deployed.
        chosen = must_be_here(layout, *LOCAL)
        _must_fit(chosen, manifest)
        home, _ = await in_thread(client_programs, chosen, server)
        names = database_dump.of_postgres(manifest)
        deployments.save(layout, chosen.model_copy(update={"copying": names}))
        await in_thread(database_dump.restore_beside, server, home, place, manifest)
        if chosen.target is TargetName.EMBEDDED:
            await in_thread(sqlite_file.put_beside, place / manifest.databases["temporal"].file, layout.temporal_file)
        if manifest.artifacts is not None:
            await in_thread(artifact_files.put_back, place, artifact_files.store_of(layout))
        deployments.save(layout, _decided(chosen, manifest, names))
        await in_thread(unfinished_restore.finish, layout, server)
    again = "pavo up" if chosen.target is TargetName.EMBEDDED else "pavo deploy start"
    say(f"Restored what was backed up at {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC. Start it: {again}")
    for line in (*_to_be_opened(layout, manifest), *_to_be_picked_up(chosen, manifest)):
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


def _must_be_readable(layout: Layout, manifest: Manifest) -> None:
    """Refuse a backup whose tasks this deployment could not read: they would stand still, and nothing would say why.

    Raises:
        Conflict: it lacks the key.
    """
    kept = kept_settings.load(layout)
    if kept is not None and not setting_rules.can_read(kept.values, manifest.codec_key or ""):
        raise Conflict(
            f"The backup is of a deployment that encrypts with the key {manifest.codec_key}, which this one lacks.",
            field=setting_rules.CODEC_KEY,
            remedy=f"Set that key: pavo deploy set {setting_rules.CODEC_KEY}; or, beside a key of its own, "
            f"{setting_rules.FORMER_KEYS}.",
        )


def _to_be_opened(layout: Layout, manifest: Manifest) -> list[str]:
    """What to do where this deployment has not the key of the organisations' secrets."""
    kept = kept_settings.load(layout)
    values = sealing_environment(layout, kept.values if kept else {})
    pair = setting_rules.SEALING_KEY, setting_rules.SEALING_FORMER_KEYS
    if not manifest.sealing_key or setting_rules.can_read(values, manifest.sealing_key, *pair):
        return []
    return [
        f"! Organisations' secrets in it are sealed by the key {manifest.sealing_key}, which this deployment lacks.",
        f"  → Give it that key, then seal them anew: pavo deploy set {pair[1]}, pavo secret rotate",
    ]


def _to_be_picked_up(chosen: Deployment, manifest: Manifest) -> list[str]:
    """What to run where the restored tasks are pinned to a build that the deployment's workers do not carry.

    A backup of workers without versions needs nothing: the first version that polls is made current, and takes their
    tasks.
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
    """The deployment as it is once the restored databases take their places.

    The data belong to the server that wrote them, so its version and its number of shards come back with them; not so
    in the embedded target, whose server comes from a wheel. A folder of programs that was named holds the version from
    before the restore, so it is forgotten where the two differ.
    """
    decided: dict[str, object] = {"restoring": names, "copying": []}
    if chosen.target is not TargetName.EMBEDDED:
        decided |= {"temporal_version": manifest.temporal_version, "shards": manifest.shards}
        if manifest.temporal_version != chosen.temporal_version:
            decided["temporal_bin"] = None
    return chosen.model_copy(update=decided)
