"""Runs whose rows and workflows disagree, or that nobody executes: found, explained, repaired where that is safe."""
