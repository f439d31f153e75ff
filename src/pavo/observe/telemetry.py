"""What a process opens for metrics and traces: the SDK's runtime and the tracer. What is switched off is not
imported."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from temporalio.client import Interceptor

from pavo.config import Settings
from pavo.kit.extras import needing
from pavo.observe.sdk import SdkRuntime, open_runtime

if TYPE_CHECKING:
    from pavo.observe.tracing import Traces

Role = Literal["api", "worker", "gateway"]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is open; `close` it at the end."""

    sdk: SdkRuntime | None
    """The runtime to connect to Temporal with; None for the SDK's default one."""
    traces: "Traces | None"

    @property
    def interceptors(self) -> Sequence[Interceptor]:
        """For Temporal's client."""
        return self.traces.interceptors if self.traces else ()

    async def close(self) -> None:
        """Send the last spans."""
        if self.traces:
            await asyncio.to_thread(self.traces.close)


def open_telemetry(settings: Settings, role: Role) -> Telemetry:
    """Open what the settings want.

    Raises:
        NotInstalled: traces are wanted and the extra `otel` is not installed.
    """
    metrics = settings.metrics.enabled and (role == "api" or settings.metrics.address is not None)
    return Telemetry(open_runtime(settings, metrics=metrics), _open_traces(settings, role))


def _open_traces(settings: Settings, role: Role) -> "Traces | None":
    if settings.traces.target is None:
        return None
    otherwise = "Or unset the variable, or set OTEL_SDK_DISABLED=true."
    with needing("The sending of traces", field="OTEL_EXPORTER_OTLP_ENDPOINT", otherwise=otherwise):
        from pavo.observe.tracing import Traces
    return Traces(settings.traces, role)
