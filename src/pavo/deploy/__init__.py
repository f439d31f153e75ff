"""The stack: what its parts are, how each target runs them, and what people do to one that runs.

The rooms are floors: each uses only the ones above it in this list, and import-linter holds that.

- **`model/`: words.** `parts`: every kind of process. `deployment`: what was chosen for a data directory. `layout`,
  `state`: its files, and what a running stack tells. `compatibility` (with its `.toml`): which versions go together.
  `kept_settings`, `setting_rules`, `settings_plan`: what it was started with and keeps.
  `findings`: a line of a check. `progress`: how long work tells what it does.
- **`certificates/`: a CA for each deployment.** `authority` signs, `kept` keeps and renews, `parts` tells each part of
  its own, `judge` tells people how the parts speak and when a certificate ends.
- **`local/`: a stack on this machine** (`pavo up`, targets embedded and native). `planning` shows a start →
  `embedded` or `native` makes a `definition` of components → `stack` → `supervisor` with its `spare` worker;
  `ended_workers` writes down how workers ended, `liveness` notices silent parts.
  `control` asks a running one, `deployed` and `deployed_settings` tell what was deployed.
  - `machine/`: what the machine gives: `part_process`, `ports`, `privileges`, `logs`, the `lock`, `blocking_work`.
  - `components/`: the servers behind the parts (`component` says what each must do), their programs, how they are
    asked (`probes`), Temporal's schema.
  - `restarts/`: parts that are started again by themselves: `reload` for new code, `renewal` for new certificates.
  - `dumps/`: what the stores hold, written to files and put back: `database_dump`, `sqlite_file`; `unfinished_restore`
    ends what a crash cut in two.
- **`orchestrated/`: a stack that others run** (targets compose and kubernetes). `choose_target` → `compose_target`,
  `kubernetes_target` behind the face of `target_interface` → `compose`, `kubernetes`, `images` write files →
  `docker`, `helm` start them, by `outside_programs`.
- **`backups/`**: `take_backup`, `prove_backup`, `restore_backup`; `postgres_access` opens what they work on.
- **`rollout/`: new versions.** `upgrade`: backup, then each minor of Temporal, then Pavo. `worker_rollout` restarts one
  worker after the other, `worker_versions` speaks with Temporal.
- **`checks/`: before a rollout.** `run` calls all; `connectivity` reaches the services.
- **`validation/`: `pavo validate`.** `runner` and `workflow` prove an installation, `readback` what its servers hold,
  `restart` that it survives one.
"""
