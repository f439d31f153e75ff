"""The engine on Temporal: a workflow per run that holds ids alone; all that is known of the run is in the ledger."""
