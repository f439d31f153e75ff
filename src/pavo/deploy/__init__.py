"""The stack: what its parts are, how each target runs them, and what people do to one that runs.

Which module for which walk, in the order in which one reads them:

- **Words.** `parts`: every kind of process. `deployment`: what was chosen for a data directory. `layout`, `state`,
  `lock`: its files, what a running stack tells, one at a time. `compatibility` (with its `.toml`): which versions go
  together.
- **Start on this machine** (`pavo up`, targets embedded and native). `planning` shows it → `embedded` or `native`
  builds a `target` of `components` → `stack` → `supervisor` with `processes`, `spare`, `probes`. `schema`,
  `temporal_programs`, `wheels`, `privileges`, `ports`: what they need.
- **Start elsewhere** (targets compose and kubernetes). `orchestrated` → `compose`, `kubernetes`, `images` write files
  → `docker`, `helm` start them, by `outside_programs`.
- **Look and restart.** `control` asks a supervisor, `logs` reads.
- **Check and prove.** `checks.run` and `validation.runner`; `connectivity` reaches the services; each line is of
  `findings`.
- **New workers.** `worker_versions` speaks with Temporal, `rolling` restarts one after the other, `probe_workflow`
  shows that a version answers.
- **Backup, restore.** `local_backup` for a whole deployment → `backup` (PostgreSQL), `sqlite_file`; `restoring` ends
  what a crash cut in two; `threads` for what blocks.
- **Upgrade.** `upgrade`: backup, then each minor of Temporal, then Pavo.
"""
