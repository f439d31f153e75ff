"""`pavo migrate`."""

from pathlib import Path

from pavo.cli.output import Output, Printer
from pavo.deploy.model.state import database_url
from pavo.kit.migrate import pending, upgrade


def migrate(*, data_dir: Path | None = None, output: Output = "text") -> None:
    """Bring Pavo's schema up to date in DATABASE_URL, or in the running stack's database.

    Args:
        data_dir: the stack whose database is meant.
    """
    url = database_url(data_dir)
    missing = pending(url)
    upgrade(url)
    text = f"Applied {', '.join(missing)}." if missing else "The schema is up to date."
    Printer(output).show({"applied": missing}, text)
