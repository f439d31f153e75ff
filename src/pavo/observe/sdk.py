"""The runtime of Temporal's SDK: its own metrics, and its own log lines as ours.

The SDK serves its metrics on a port of its own; that one stays on loopback, and `Scrape` joins the two pages. Names are
left as the SDK's documentation and dashboards have them: no suffix for units and totals, durations in milliseconds.
"""

import logging
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
)

from pavo.config import Settings

ATTEMPTS = 5
READ_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SdkRuntime:
    """The runtime to connect with, and where its metrics are, if it has any."""

    runtime: Runtime
    metrics_port: int | None

    def metrics(self) -> bytes:
        """The SDK's page; empty where there is none. Blocks up to two seconds."""
        if self.metrics_port is None:
            return b""
        try:
            address = f"http://127.0.0.1:{self.metrics_port}/metrics"
            with urllib.request.urlopen(address, timeout=READ_SECONDS) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError) as error:
            logging.getLogger(__name__).warning("The SDK's metrics cannot be read: %s", error)
            return b""


def open_runtime(settings: Settings, *, metrics: bool) -> SdkRuntime | None:
    """A runtime that differs from the SDK's default one; None where the default will do."""
    forward = settings.logging.format == "json"
    if not metrics and not forward:
        return None
    lines = LoggingConfig(
        filter=LoggingConfig.default.filter,
        forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")) if forward else None,
    )
    if not metrics:
        return SdkRuntime(Runtime(telemetry=TelemetryConfig(logging=lines)), None)
    return _with_metrics(lines)


def _with_metrics(lines: LoggingConfig) -> SdkRuntime:
    """The SDK does not tell which port it took, so it is given one; in between another program may take it."""
    for attempt in range(1, ATTEMPTS + 1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        page = PrometheusConfig(bind_address=f"127.0.0.1:{port}")
        try:
            return SdkRuntime(Runtime(telemetry=TelemetryConfig(logging=lines, metrics=page)), port)
        except ValueError:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")
