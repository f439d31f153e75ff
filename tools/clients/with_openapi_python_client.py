"""Tells a page of events, read from standard input, with the client that openapi-python-client made."""

import json
import sys

from pavo_client.api.tasks import list_events, stream_task
from pavo_client.models import AgentEvent, TaskEventPage, TickEvent

assert list_events.sync and stream_task.sync
for event in TaskEventPage.from_dict(json.load(sys.stdin)).items:
    if isinstance(event, TickEvent):
        assert event.step >= 1 and event.type_ == "tick"
    print("AgentEvent" if isinstance(event, AgentEvent) else "PavoEvent", event.type_)
