"""Flows: declared work of many steps with dependencies. `Flow` writes a definition in Python, and
`TemporalWorkflowEngine` executes flows inside a program."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pavo.flows.building.flow import Flow as Flow
    from pavo.flows.building.parts import ForEach as ForEach
    from pavo.flows.building.parts import Retries as Retries
    from pavo.flows.building.parts import Undo as Undo
    from pavo.flows.building.parts import Way as Way
    from pavo.flows.building.parts import cel as cel
    from pavo.flows.embedded.engine import TemporalWorkflowEngine as TemporalWorkflowEngine


def __getattr__(name: str) -> Any:
    # Only where it is asked for: it takes YAML, which workers of other kinds do not have.
    if name == "Flow":
        from pavo.flows.building.flow import Flow

        return Flow
    if name == "TemporalWorkflowEngine":
        from pavo.flows.embedded.engine import TemporalWorkflowEngine

        return TemporalWorkflowEngine
    if name in ("ForEach", "Retries", "Undo", "Way", "cel"):
        from pavo.flows.building import parts

        return getattr(parts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
