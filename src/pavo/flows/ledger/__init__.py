"""The ledger of runs of flows: who executes which, what was decided, what came of each step. All SQL of it."""
