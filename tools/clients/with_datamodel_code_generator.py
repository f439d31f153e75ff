"""Tells a page of events, read from standard input, with the models that datamodel-code-generator made."""

import sys

from models import AgentEvent, TaskEventPage, TickEvent

for one in TaskEventPage.model_validate_json(sys.stdin.read()).items:
    if isinstance(one.root, AgentEvent):
        print("AgentEvent", one.root.type)
        continue
    event = one.root.root
    if isinstance(event, TickEvent):
        assert event.step >= 1
    print(type(one.root).__name__, event.type)
