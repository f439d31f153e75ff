"""Bringing Pavo's own schema up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
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
        with translated(), engine.connect() as guard:
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
