"""The commands that this program knows, each with what carries it out."""

from collections.abc import Mapping

from pavo.remote.commands.clean import CleaningHandler
from pavo.remote.commands.execute import Executing
from pavo.remote.commands.late import LateWorkHandler
from pavo.remote.commands.publish import PublishingHandler
from pavo.remote.commands.verify import VerifyingHandler
from pavo.remote.work import Handler


def handlers(executing: Executing) -> Mapping[str, Handler]:
    """By the protocol's name of each."""
    workspaces, credentials = executing.workspaces, executing.credentials
    return {
        "start_execution": executing.execute,
        "make_plan": executing.plan,
        "run_verification": VerifyingHandler(workspaces, credentials, executing.here),
        "create_pull_request": PublishingHandler(workspaces, credentials, executing.patches),
        "keep_late_work": LateWorkHandler(workspaces, credentials, executing.patches),
        "cleanup": CleaningHandler(workspaces, credentials, executing.patches),
    }
