"""An agent task from prompt to report: stages, plan documents and review, execution, stop and resume."""
