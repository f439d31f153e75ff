"""Takes a backup of a deployment on this machine, running or not."""

from datetime import UTC, datetime
from pathlib import Path

from pavo.deploy.backups.postgres_access import client_programs, postgres_of
from pavo.deploy.backups.prove_backup import prove
from pavo.deploy.local.deployed import LOCAL, must_be_here
from pavo.deploy.local.dumps import artifact_files, database_dump
from pavo.deploy.local.dumps.database_dump import Manifest
from pavo.deploy.local.machine.blocking_work import in_thread
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.deployment import TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.progress import Say
from pavo.deploy.model.sealing_key import sealing_environment


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
            database_dump.take,
            server,
            home,
            place,
            target=chosen.target,
            temporal_version=chosen.temporal_version,
            shards=chosen.shards,
            worker_build=chosen.worker_build,
            databases=("pavo",) if embedded else database_dump.BACKED_UP,
            sqlite=layout.temporal_file if embedded else None,
            store=artifact_files.store_of(layout),
        )
    manifest = manifest.model_copy(update={"codec_key": _codec_key(layout), "sealing_key": _sealing_key(layout)})
    database_dump.write_manifest(place, manifest)
    say(f"Backed up into {place}; writers waited {manifest.locked_ms:.0f} ms.")
    if manifest.artifacts is not None and manifest.artifacts.missing:
        say(f"! {manifest.artifacts.missing} contents of artifacts were not in the store, and are not in the backup.")
    if verify:
        await prove(place, programs)
        manifest = manifest.model_copy(update={"verified": True})
        database_dump.write_manifest(place, manifest)
        say("Proven: restored into a scratch server, every table counted.")
    return place, manifest


def _sealing_key(layout: Layout) -> str:
    kept = kept_settings.load(layout)
    key = sealing_environment(layout, kept.values if kept else {})[setting_rules.SEALING_KEY]
    return setting_rules.fingerprint(key)


def _codec_key(layout: Layout) -> str | None:
    kept = kept_settings.load(layout)
    return setting_rules.fingerprint(kept.values.get(setting_rules.CODEC_KEY, "")) if kept else None
