"""The SDK's workflow sandbox, without what it repeats for every payload and every activation.

All its restrictions hold. It no longer compiles the same few lines each time that the sandbox is entered, and no longer
enters the sandbox for each payload only to ask the SDK's own code for its context. Together that was an
eighth of a worker's time (decision 15).
"""

from functools import lru_cache
from types import CodeType
from typing import Any

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox._runner import _Instance  # pyright: ignore[reportPrivateUsage]

_INSIDE = "__temporal_in_sandbox"
"""Under which name the sandbox keeps the SDK's instance."""


class Sandbox(SandboxedWorkflowRunner):
    """Runs each workflow in a sandbox of its own."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """A new run, its modules imported anew."""
        return _SparingInstance(det, self.runner_class, self.restrictions)


class _SparingInstance(_Instance):
    def _run_code(self, code: str, **extra_globals: Any) -> None:
        super()._run_code(_compiled(code), **extra_globals)  # pyright: ignore[reportArgumentType]

    # The two below answer from ids that the SDK keeps; no code of the workflow takes part.

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._inside.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._inside.get_external_store_context(command_info)

    @property
    def _inside(self) -> Any:
        found: dict[str, Any] = self.globals_and_locals
        return found[_INSIDE]


@lru_cache(maxsize=64)
def _compiled(code: str) -> CodeType:
    return compile(code, "<sandbox>", "exec")
