"""Where a LangGraph graph keeps its checkpoints: in the checkpoint of its task.

It needs the framework: `graph_agent` imports it when a graph runs.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

Packed = tuple[str, bytes]
"""A value as the framework's serializer writes it."""
_OF_A_RUN: Final = ":"
"""In the namespace of a subgraph that belongs to one task of its parent, and ends with that."""


@dataclass(slots=True)
class _Kept:
    """The newest checkpoint of a namespace, and what the tasks that follow it have written."""

    id: str
    checkpoint: Packed
    metadata: Packed
    parent: str | None
    writes: dict[tuple[str, int], tuple[str, Packed]] = field(default_factory=dict[tuple[str, int], tuple[str, Packed]])


class TaskSaver(BaseCheckpointSaver[int]):
    """The newest checkpoint of a graph and of its subgraphs, in memory; older ones are forgotten. Of one thread.

    Args:
        kept: what `export` answered once.
    """

    def __init__(self, kept: Sequence[Any] = ()) -> None:
        super().__init__()
        self._kept = {
            namespace: _Kept(identifier, checkpoint, metadata, parent, dict(writes))
            for namespace, (identifier, checkpoint, metadata, parent, writes) in kept
        }
        self.changed = False
        """Whether something was kept since the last `export`."""
        self.exported: frozenset[str] = self.ids()
        """Of the checkpoints that the last `export` answered: what is kept meanwhile is none of them."""
        self.told: Callable[[], None] = lambda: None
        """Called when there is a new checkpoint."""

    def ids(self) -> frozenset[str]:
        """Of the checkpoints that it has."""
        return frozenset(each.id for each in self._kept.values())

    def export(self) -> list[Any]:
        """All of it, of Python's own types alone."""
        self.changed, self.exported = False, self.ids()
        return [
            (namespace, (each.id, each.checkpoint, each.metadata, each.parent, list(each.writes.items())))
            for namespace, each in self._kept.items()
        ]

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that is asked for, where it is the newest."""
        namespace, wanted = _namespace(config), get_checkpoint_id(config)
        kept = self._kept.get(namespace)
        if kept is None or wanted not in (None, "", kept.id):
            return None
        load = self.serde.loads_typed
        return CheckpointTuple(
            config=_config(config, namespace, kept.id),
            checkpoint=load(kept.checkpoint),
            metadata=load(kept.metadata),
            parent_config=_config(config, namespace, kept.parent) if kept.parent else None,
            pending_writes=[(task, channel, load(value)) for (task, _), (channel, value) in kept.writes.items()],
        )

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The newest alone: there is no history."""
        if config is not None and before is None and limit != 0 and (found := self.get_tuple(config)) is not None:
            yield found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint instead of the one before."""
        namespace, dump = _namespace(config), self.serde.dumps_typed
        told = get_checkpoint_metadata(config, metadata)
        self._kept[namespace] = _Kept(checkpoint["id"], dump(checkpoint), dump(told), get_checkpoint_id(config))
        if not namespace:  # a step of the whole graph is over, and with it what ran in it
            self._kept = {name: each for name, each in self._kept.items() if _OF_A_RUN not in name}
        self.changed = True
        self.told()
        return _config(config, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task has written, so that it does not run again."""
        kept = self._kept.get(_namespace(config))
        if kept is None or kept.id != get_checkpoint_id(config):
            return  # of a step that is over: its writes are in the checkpoint
        for index, (channel, value) in enumerate(writes):
            place = (task_id, WRITES_IDX_MAP.get(channel, index))
            if place[1] < 0 or place not in kept.writes:
                kept.writes[place] = (channel, self.serde.dumps_typed(value))
        self.changed = True

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        for each in self.list(config, filter=filter, before=before, limit=limit):
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)


def _namespace(config: RunnableConfig) -> str:
    return config.get("configurable", {}).get("checkpoint_ns", "")


def _config(config: RunnableConfig, namespace: str, identifier: str) -> RunnableConfig:
    thread = config.get("configurable", {})["thread_id"]
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": identifier}}
