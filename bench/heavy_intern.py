"""An isolated agent like `intern` whose module imports a lot: pydantic-ai, and where that is absent a stand-in.

The stand-in is what comes with Pavo itself: FastAPI, SQLAlchemy and Temporal's SDK.
"""

import importlib
import importlib.metadata
from typing import ClassVar

from pavo.agents.contract import Isolation
from pavo.agents.intern import InternAgent

_STAND_IN = ("fastapi", "sqlalchemy.ext.asyncio", "temporalio.client", "temporalio.worker")


def _import() -> str:
    try:
        importlib.import_module("pydantic_ai")
    except ImportError:
        for module in _STAND_IN:
            importlib.import_module(module)
        return f"a stand-in for pydantic-ai ({', '.join(_STAND_IN)})"
    return f"pydantic-ai {importlib.metadata.version('pydantic-ai-slim')}"


IMPORTED = _import()
"""What this module has imported."""


class HeavyIntern(InternAgent):
    """The same steps as those of `intern`, in a process of its own."""

    name: ClassVar[str] = "heavy_intern"
    isolation: ClassVar[Isolation] = "process"
