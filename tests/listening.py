"""Since when gateways hear agents, as a test wants it: only what could be renewed counts as lost."""

from sqlalchemy import text

from pavo.kit.sql import Database

_LISTENED = text("""
INSERT INTO gateway_presence (id, since, seen_at)
VALUES (1, pavo_now() - make_interval(secs => :since), pavo_now() - make_interval(secs => :seen))
ON CONFLICT (id) DO UPDATE SET since = excluded.since, seen_at = excluded.seen_at
""")
DAYS = 30 * 86_400.0


async def listened(database: Database, since: float = DAYS, seen: float = -DAYS) -> None:
    """Some gateway has been there for so many seconds, and was so many seconds ago; without arguments all the time."""
    async with database.transaction() as session:
        await session.execute(_LISTENED, {"since": since, "seen": seen})
