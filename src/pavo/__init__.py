"""Pavo runs long AI-agent tasks durably on Temporal. Installed as `pavo-temporal`, imported as `pavo`."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pavo.tools.durable import durable as durable


def __getattr__(name: str) -> Any:
    # Only where it is asked for: it takes pydantic, and every command imports this package.
    if name == "durable":
        from pavo.tools.durable import durable

        return durable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
