"""All use cases of tasks, as the composition root builds them and endpoints find them."""

from dataclasses import dataclass

from pavo.tasks.conversation import ConversationService, TaskGates
from pavo.tasks.edit import EditService
from pavo.tasks.gateway.bearers import TaskBearers
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.waits.budget_gates import BudgetGates


@dataclass(frozen=True, slots=True)
class TaskUseCases:
    """What people and programs do with tasks."""

    tasks: TaskService
    review: ReviewService
    conversation: ConversationService
    edit: EditService
    gates: TaskGates
    """What has their gates closed: see `gates.service.GateOwner`."""
    bearers: TaskBearers
    """Who shows a token of the gateway for a task: see `llm.gateway.wiring.HasBearers`."""
    budgets: BudgetGates
    """Has tasks look again at budgets: see `usage.service.LooksAgain`."""
