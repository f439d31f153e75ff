"""The transitions of a task that have a quick way: each file holds one, both ways side by side.

The quick way is one statement on a kept connection, and so its own transaction; it is for the usual case alone. What
is not usual (another attempt was here before, somebody stopped) matches no row and writes nothing; then the caller goes
the long way, a transaction through SQLAlchemy that knows every case and raises where there is nothing to do any more.
Where the quick way does match, both write the same: `tests/tasks/test_two_ways.py` compares them over generated
states.

All compare (generation, transition) and the epoch as `runs.fenced_row` and `lease` do. Tasks are locked before
executions, and executions before timelines, as everywhere.

Creation has its two ways in `request_statements`, for the API runs it. The workflow's own short writes
(`work/record_activities`) happen once in many steps and have the long way alone.
"""
