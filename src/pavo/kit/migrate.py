"""Bringing Pavo's own schema up to date."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import create_engine, text

from pavo.kit.sql import driver_url, translated

_LOCK = 0x7061766F
"""Advisory lock of migrations ("pavo"): two at once would apply the same one twice."""


def config(url: str) -> Config:
    """Alembic's configuration for this database, in a checkout as in an installed package."""
    package = Path(__file__).parent.parent
    folders = (package / "migrations", package.parent.parent / "migrations")
    found = next(folder for folder in folders if (folder / "env.py").exists())
    alembic = Config()
    alembic.set_main_option("script_location", str(found))
    alembic.set_main_option("sqlalchemy.url", driver_url(url).replace("%", "%%"))
    return alembic


def upgrade(url: str) -> None:
    """Apply what is missing; two at once wait for each other, and doing it again changes nothing.

    Raises:
        Unavailable: PostgreSQL cannot be reached.
    """
    engine = create_engine(driver_url(url), connect_args={"connect_timeout": 5})
    try:
        # No transaction stays open meanwhile: an index that is built concurrently would wait for its end.
        with translated(), engine.execution_options(isolation_level="AUTOCOMMIT").connect() as guard:
            guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            command.upgrade(config(url), "head")
    finally:
        engine.dispose()


def pending(url: str) -> list[str]:
    """Revisions that the database lacks, oldest first."""
    scripts = ScriptDirectory.from_config(config(url))
    engine = create_engine(driver_url(url), connect_args={"connect_timeout": 5})
    try:
        with translated(), engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    missing = list(scripts.iterate_revisions("head", current or "base"))
    return [script.revision for script in reversed(missing)]


@dataclass(frozen=True, slots=True)
class PendingScript:
    """A migration that the database lacks."""

    revision: str
    title: str
    sql: str | None
    """What it would execute; None when that is not known without executing it."""
    why: str = ""
    """Why not."""


def pending_scripts(url: str) -> list[PendingScript]:
    """The migrations that the database lacks, oldest first, as the SQL that they would execute.

    Raises:
        LookupError: the database has a revision that this build does not know.
        Unavailable: PostgreSQL cannot be reached.
    """
    scripts = ScriptDirectory.from_config(config(url))
    try:
        missing = pending(url)
    except (CommandError, RevisionError) as error:
        raise LookupError(str(error)) from error
    return [_script(url, scripts.get_revision(revision)) for revision in missing]


def _script(url: str, script: Script) -> PendingScript:
    alembic, title = config(url), (script.doc or "").strip().split("\n", 1)[0]
    alembic.output_buffer = StringIO()
    below = script.down_revision or "base"
    try:
        command.upgrade(alembic, f"{below}:{script.revision}", sql=True)
    except (CommandError, AttributeError, TypeError) as error:  # its script queries the database, and there is none
        return PendingScript(script.revision, title, None, f"{type(error).__name__}: {error}")
    return PendingScript(script.revision, title, alembic.output_buffer.getvalue())


def plain_url(url: str) -> str:
    """The URL as psycopg itself takes it."""
    return driver_url(url).replace("postgresql+psycopg://", "postgresql://", 1)
