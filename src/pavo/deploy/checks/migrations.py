"""Pending migrations: which tables each one locks, how, and for how long."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from pavo.deploy.model.findings import Finding
from pavo.kit import migrate

MIGRATION = "migration"
BOOKKEEPING = "alembic_version"
"""Where each migration records that it is done: one row, which nobody else uses."""
SMALL_ROWS = 100_000
"""Below it, work on a whole table is over before anybody notices."""


class Effect(StrEnum):
    """What a statement does to those who work on the table meanwhile."""

    NONE = "locks nothing that is in use"
    BRIEF = "locks for a moment"
    WRITES = "keeps writers out while it works"
    ALL = "keeps everybody out while it works"
    ROWS = "keeps writers from the rows that it changes until it commits"


@dataclass(frozen=True, slots=True)
class Lock:
    """A table that a migration locks."""

    table: str
    effect: Effect
    statement: str
    """Its beginning."""


_TABLE = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?(?P<table>[\w.\"]+)"
_RULES: tuple[tuple[str, Effect], ...] = (
    (rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\b.*?\sON\s+{_TABLE}", Effect.NONE),
    (rf"CREATE\s+(?:UNIQUE\s+)?INDEX\b.*?\sON\s+{_TABLE}", Effect.WRITES),
    (r"DROP\s+INDEX\s+CONCURRENTLY", Effect.NONE),
    (rf"DROP\s+INDEX\s+{_TABLE}", Effect.BRIEF),
    (rf"REINDEX\s+(?:TABLE|INDEX)\s+(?!CONCURRENTLY){_TABLE}", Effect.WRITES),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+VALIDATE\s+CONSTRAINT", Effect.NONE),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ADD\s+CONSTRAINT\b.*\bNOT\s+VALID", Effect.BRIEF),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ADD\s+CONSTRAINT\b.*\bUSING\s+INDEX", Effect.BRIEF),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ADD\s+(?:CONSTRAINT\s+\S+\s+)?FOREIGN\s+KEY", Effect.WRITES),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ADD\s+(?:CONSTRAINT\b|PRIMARY|UNIQUE|CHECK|EXCLUDE)", Effect.ALL),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b", Effect.ALL),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+ALTER\s+(?:COLUMN\s+)?\S+\s+SET\s+NOT\s+NULL", Effect.ALL),
    (
        rf"ALTER\s+TABLE\s+{_TABLE}\s+ADD\s+(?:COLUMN\s+)?.*(?:\bSERIAL|\bBIGSERIAL|\bIDENTITY\b|\bSTORED\b"
        r"|DEFAULT\s+(?:gen_random_uuid|uuid\w*|random|clock_timestamp|pavo_now|nextval)\s*\()",
        Effect.ALL,
    ),
    (rf"ALTER\s+TABLE\s+{_TABLE}\s+SET\s+(?:LOGGED|UNLOGGED|TABLESPACE|ACCESS)", Effect.ALL),
    (rf"ALTER\s+TABLE\s+{_TABLE}", Effect.BRIEF),
    (rf"(?:VACUUM\s+FULL|CLUSTER)\s+{_TABLE}", Effect.ALL),
    (rf"REFRESH\s+MATERIALIZED\s+VIEW\s+(?!CONCURRENTLY){_TABLE}", Effect.ALL),
    (rf"DROP\s+(?:TABLE|MATERIALIZED\s+VIEW|VIEW)\s+{_TABLE}", Effect.BRIEF),
    (rf"TRUNCATE\s+(?:TABLE\s+)?{_TABLE}", Effect.BRIEF),
    (rf"LOCK\s+(?:TABLE\s+)?{_TABLE}", Effect.ALL),
    (rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER\b.*?\sON\s+{_TABLE}", Effect.BRIEF),
    (rf"UPDATE\s+{_TABLE}", Effect.ROWS),
    (rf"DELETE\s+FROM\s+{_TABLE}", Effect.ROWS),
)
"""The first that fits decides. From PostgreSQL's manual: "Explicit Locking" and the pages of each statement."""
_PIECE = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|;|[^;$'\"/-]+|.", re.DOTALL)


def statements(script: str) -> Iterator[str]:
    """The statements of an SQL script, without comments and the bodies of functions."""
    held: list[str] = []
    for piece in _PIECE.finditer(script):
        text = piece.group()
        if text == ";":
            yield from _whole(held)
            held = []
        elif not text.startswith(("--", "/*")):
            held.append("$$" if text.startswith("$") and len(text) > 1 else text)
    yield from _whole(held)


def _whole(held: list[str]) -> Iterator[str]:
    text = " ".join("".join(held).split())
    if text:
        yield text


def locks(script: str) -> list[Lock]:
    """What a script locks of the tables that are in use; nobody uses the ones yet that it makes itself."""
    made = {BOOKKEEPING}
    found: list[Lock] = []
    for statement in statements(script):
        made |= _made(statement)
        found += [lock for lock in _of(statement) if lock.table not in made and lock.effect is not Effect.NONE]
    return found


def _made(statement: str) -> set[str]:
    created = re.match(rf"CREATE\s+(?:UNLOGGED\s+|TEMP\w*\s+)?TABLE\s+{_TABLE}", statement, re.IGNORECASE)
    return {_plain(created["table"])} if created else set()


def _of(statement: str) -> Iterator[Lock]:
    if re.match(r"CREATE\s+(?:UNLOGGED\s+)?TABLE\b", statement, re.IGNORECASE):
        for referenced in re.finditer(r"\bREFERENCES\s+(?P<table>[\w.\"]+)", statement, re.IGNORECASE):
            yield Lock(_plain(referenced["table"]), Effect.BRIEF, statement[:120])
        return
    for pattern, effect in _RULES:
        fits = re.match(pattern, statement, re.IGNORECASE)
        if fits:
            yield Lock(_plain(fits.groupdict().get("table") or ""), effect, statement[:120])
            return


def _plain(name: str) -> str:
    return name.replace('"', "").removeprefix("public.").lower()


def check_migrations(url: str) -> list[Finding]:
    """A finding for each pending migration, or one that there is none. Reads only; on a thread.

    Raises:
        Unavailable: PostgreSQL cannot be reached.
    """
    try:
        pending = migrate.pending_scripts(url)
    except LookupError as error:
        remedy = "Roll out the Pavo that this schema belongs to, or a newer one; a schema is not taken back."
        return [Finding(MIGRATION, "fail", f"The schema is newer than this build: {error}", remedy)]
    if not pending:
        return [Finding(MIGRATION, "pass", "the schema is up to date")]
    rows = _rows(url)
    return [_judge(script, rows) for script in pending]


def _rows(url: str) -> dict[str, int]:
    """What there is to lock (tables, indexes, views), and about how many rows each has."""
    with psycopg.connect(migrate.plain_url(url), connect_timeout=5) as connection:
        query = "SELECT relname, greatest(reltuples, 0)::bigint FROM pg_class WHERE strpos('rpiImv', relkind::text) > 0"
        return {str(name): int(count) for name, count in connection.execute(query)}


def _judge(script: migrate.PendingScript, rows: Mapping[str, int]) -> Finding:
    name = f"{MIGRATION} {script.revision}"
    if script.sql is None:
        remedy = "It works on data with Python: read it, and try it on a copy of the database."
        return Finding(name, "warn", f"{script.title}: it cannot be shown as SQL ({script.why})", remedy)
    # A table that an earlier migration makes is not there yet, and nobody uses it.
    found = [lock for lock in locks(script.sql) if lock.table in rows]
    if not found:
        return Finding(name, "pass", f"{script.title}: {Effect.NONE}")
    heavy = [lock for lock in found if lock.effect is not Effect.BRIEF and rows.get(lock.table, 0) >= SMALL_ROWS]
    named = "; ".join(
        dict.fromkeys(f"{each.table} ({rows.get(each.table, 0):,} rows): {each.effect}" for each in found)
    )
    if heavy:
        remedy = (
            f"Apply it when little happens, or split it (CONCURRENTLY, NOT VALID, batches). It is: {heavy[0].statement}"
        )
    else:
        remedy = (
            "Short, but it queues behind long transactions and others behind it: look for them in pg_stat_activity."
        )
    return Finding(name, "warn", f"{script.title}: {named}", remedy)
