"""Spans by OpenTelemetry. Imported only where an endpoint for them is configured; needs the extra `otel`.

A request's span is the parent of what it starts: Temporal's own interceptor carries the context in the headers of
workflows and activities, and the agents' loop runs each call in its caller's context, so that a step's span lies in its
batch's. Spans of workflows have no duration: a workflow's code runs again on each replay, so only moments of it are
shown.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.client import Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor

from pavo import __version__
from pavo.config import TracesSettings
from pavo.observe import spans

CLOSE_SECONDS: Final = 1.0
"""For sending the last spans at the end of a process; a collector that is away must not keep it from ending."""


class Traces:
    """Makes spans until it is closed.

    Args:
        role: api or worker; the service is named pavo-api or pavo-worker unless OTEL_SERVICE_NAME says otherwise.
    """

    def __init__(self, settings: TracesSettings, role: str) -> None:
        own = Resource({"service.name": f"pavo-{role}", "service.version": __version__})
        # The provider reads the sampler and the processor its limits from OpenTelemetry's own variables.
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.target)))
        if role == "worker":
            # Agents that make spans of their own find the provider here. FastAPI would make its own for each request.
            trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer("pavo", __version__)
        spans.install(_Tracer(self._tracer))

    @property
    def interceptors(self) -> Sequence[Interceptor]:
        """For Temporal's client."""
        return [TracingInterceptor(self._tracer)]

    def close(self) -> None:
        """Send what is left. Blocks up to a second."""
        spans.install(None)
        # A daemon thread, because an export that hangs cannot be ended.
        sending = threading.Thread(target=self._provider.shutdown, name="pavo-traces-end", daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


class _Tracer:
    """`spans.Tracer` by OpenTelemetry."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    def span(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[spans.Span]:
        return _Open(self._tracer.start_as_current_span(name, attributes=attributes))

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[spans.Span]:
        context = self._propagator.extract(headers)
        return _Open(self._tracer.start_as_current_span(name, context, kind=trace.SpanKind.SERVER))

    def trace_id(self) -> str | None:
        found = trace.get_current_span().get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None


class _Open:
    """A span from its beginning to its end."""

    __slots__ = ("_entered", "_span")

    def __init__(self, entered: AbstractContextManager[trace.Span]) -> None:
        self._entered = entered
        self._span = trace.INVALID_SPAN

    def __enter__(self) -> "_Open":
        self._span = self._entered.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        return self._entered.__exit__(kind, error, where)

    def set(self, name: str, value: str | int | bool) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self) -> None:
        self._span.set_status(trace.StatusCode.ERROR)
