"""What a task's workflow can be found by in Temporal's own UI and lists."""

from collections.abc import Mapping
from typing import Final

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

AGENT: Final = SearchAttributeKey.for_keyword("PavoAgent")
TASK: Final = SearchAttributeKey.for_keyword("PavoTask")

TYPES: Mapping[str, str] = {key.name: "Keyword" for key in (AGENT, TASK)}
"""Names and types, as they have to be registered in the namespace before a workflow carries them."""


def of_task(task_id: str, agent_type: str) -> TypedSearchAttributes:
    """The attributes of one task's workflow."""
    return TypedSearchAttributes([SearchAttributePair(AGENT, agent_type), SearchAttributePair(TASK, task_id)])
