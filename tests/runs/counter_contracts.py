"""How the counter's activities run."""

from datetime import timedelta

from temporalio import workflow

CONFIG = workflow.ActivityConfig(start_to_close_timeout=timedelta(seconds=10))
