"""What ends the help of a command: what may be typed, and the exit codes."""

from typing import Final

from cyclopts import App

from pavo.cli.schedule.examples import STARTING

EXIT_CODES: Final = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not possible now, 5 not available."
EXAMPLES: Final = {
    "pavo": {
        "pavo up --detach": "everything runs, in the background",
        'pavo run "Analyze churn drivers"': "a task from its plan, which you review, to its report",
        "pavo task list": "your tasks, and how far they are",
        "pavo deploy start --dry-run": "what a server would run",
    },
    "run": {
        'pavo run "Analyze churn drivers"': "you are asked about the plan",
        'pavo run "Draft" --prompt @draft.txt --accept': "what to do is in a file, and the plan is not reviewed",
        'pavo run "Load" --option steps=200 --accept -o json': "for programs",
        'pavo run "Mail" --policy "ask mail.*" --budget 5.00': "asked before it mails, and for at most so much money",
    },
    "flow": {
        "pavo flow validate refund.yaml": "all that is wrong, with line, column and remedy",
        "pavo flow test refund.yaml": "its cases, refund.cases.yaml, with fakes",
    },
    "flow validate": {
        "pavo flow validate refund.yaml": "all that is wrong, with line, column and remedy",
        "pavo flow validate refund.yaml --url https://pavo.example": "also whether there are its tools and agents",
    },
    "flow show": {"pavo flow show refund.yaml": "its steps, each behind what it needs"},
    "flow test": {
        "pavo flow test refund.yaml": "its cases, refund.cases.yaml, with fakes",
        "pavo flow test refund.yaml more.yaml": "cases of another file",
    },
    "flow templates": {"pavo flow templates": "flows to begin from"},
    "flow new": {
        "pavo flow new chores --template repository-chore --set repository=acme/site --set program=codex "
        "--set tell=mail.send@1": "a flow and its tests",
        'pavo flow new "ask people about orders over 100, then send mail"': "written by a model, and shown",
        'pavo flow new "try the payment three times" --edit refund.yaml': "a flow that is changed",
    },
    "flow convert": {
        "pavo flow convert refund.json --from simple -O refund.yaml": "and what could not be carried over",
    },
    "flow run": {"pavo flow run refund.yaml --engine local --input ticket=T-7": "until it is over"},
    "flow doctor": {
        "pavo flow doctor": "rows and workflows that disagree, and runs that nobody executes",
        "pavo flow doctor --repair": "and what can be done about it",
    },
    "flow runs": {"pavo flow runs": "the newest ones"},
    "flow status": {"pavo flow status 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f": "what became of its steps"},
    "flow cancel": {"pavo flow cancel 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f --compensate": "and undo what it did"},
    "flow pause": {
        'pavo flow pause 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f --reason "the bank is closed"': "nothing new begins"
    },
    "flow resume": {"pavo flow resume 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f": "it goes on"},
    "flow retry": {"pavo flow retry 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f load": "that, and what comes after it"},
    "flow skip": {
        'pavo flow skip 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f mail --reason "told by phone"': "go on without it"
    },
    "flow set": {"pavo flow set 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f rate --gives 1.07": "as if it had given that"},
    "flow answer": {
        "pavo flow answer 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f pay --said again": "it did not happen, and is to be done"
    },
    "flow publish": {'pavo flow publish refund.yaml --reason "asks twice"': "the next version, and the current one"},
    "flow list": {"pavo flow list": "those that are published"},
    "flow versions": {"pavo flow versions refund": "the newest first"},
    "flow diff": {"pavo flow diff refund 1 2": "what the second one has changed"},
    "flow rollback": {'pavo flow rollback refund 1 --reason "2 fails"': "1 is the current one again"},
    "flow deprecate": {
        'pavo flow deprecate refund 2 "it asks nobody"': "no new run of 2 begins",
        "pavo flow deprecate refund 2 --undo": "they begin again",
    },
    "flow export": {"pavo flow export --to flows.yaml": "all versions of all flows"},
    "flow watch": {"pavo flow watch 018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f": "until it is over"},
    "flow import": {"pavo flow import flows.yaml": "what is not there yet"},
    "flow schema": {"pavo flow schema > flow.schema.json": "for an editor"},
    **STARTING,
    "task": {
        "pavo task list --stage WAIT_RFC": "the tasks that wait for your review",
        'pavo task message last "Look at Norway too"': "say something to it; its agent reads that",
        "pavo task watch last": "the newest task, until it ends or waits",
    },
    "task list": {
        "pavo task list --stage WAIT_RFC": "the tasks that wait for your review",
        "pavo task list -q churn --since 7d --created-by me": "your own of this week, by a word of their titles",
        "pavo task list -n 500 -o json": "the newest 500, for programs",
    },
    "task show": {"pavo task show last": "the newest task", "pavo task show 7a9abd6c": "by the end of its id"},
    "task plan": {"pavo task plan last --version 1": "its first plan, with what became of your comments"},
    "task report": {"pavo task report last > report.md": "its report as Markdown"},
    "task feedback": {
        'pavo task feedback last "Only the third quarter" --step 2': "comment on a step of the plan",
        "pavo task feedback last --done": "end the review: the agent revises the plan",
    },
    "task message": {'pavo task message last "Look at Norway too"': "say something to it; its agent reads that"},
    "task accept": {
        "pavo task accept last --hash 0d6c54c2de0e": "the version that you have read, and no other",
        "pavo task accept last --override-feedback": "in spite of open comments",
    },
    "task edit": {
        "pavo task edit last --prompt @draft.txt": "another prompt: it is planned and reviewed anew",
        "pavo task edit last --option steps=20": "another option of its agent",
    },
    "task stop": {"pavo task stop last": "and it stays where it is until it is resumed"},
    "task resume": {"pavo task resume last": "go on after its last checkpoint"},
    "task watch": {
        "pavo task watch last": "the newest task, until it ends or waits",
        "pavo task watch last --after 0": "every event since it began",
    },
    "task artifacts": {"pavo task artifacts last": "the files that it keeps"},
    "task artifact": {
        "pavo task artifact last report.csv": "brought here under its name",
        "pavo task artifact last report.csv -O -": "for the next program",
    },
    "task export": {"pavo task export last -O tea.tar.gz": "timeline, plans, conversation, files: all of it"},
    "task logs": {"pavo task logs last -f": "what its agent prints, as long as it runs"},
    "task transcript": {"pavo task transcript last --last 10": "the end of its agent's conversation"},
    "task delete": {"pavo task delete 7a9abd6c --yes": "without being asked"},
    "inbox": {
        "pavo inbox": "what waits for you; a terminal asks for the answers",
        "pavo inbox answer 7a9abd6c 2": "the second choice",
    },
    "inbox list": {
        "pavo inbox list --kind question --created-by me": "questions of tasks that you created",
        "pavo inbox list --mine": "what you may answer",
        "pavo inbox list --kind approval": "calls of tools that wait to be allowed",
    },
    "inbox show": {"pavo inbox show 7a9abd6c": "by the beginning or end of its id"},
    "inbox answer": {
        "pavo inbox answer 7a9abd6c 2": "the second choice",
        "pavo inbox answer 7a9abd6c deny --note 'too much'": "a call of a tool; its agent reads the note",
        'pavo inbox answer 7a9abd6c \'{"days": 3}\' --note "as agreed"': "JSON, where the question asks for it",
    },
    "tools": {
        "pavo tools list": "what agents may call",
        "pavo tools call customer --arg number=7": "try one, outside of tasks",
    },
    "tools list": {"pavo tools list": "what agents may call"},
    "tools show": {"pavo tools show charge": "its arguments, and what calling it does"},
    "tools call": {
        "pavo tools call customer --arg number=7": "in this process; nothing is recorded",
        'pavo tools call charge --args \'{"account": "A-7", "cents": 5}\' --yes': "what may not be done twice",
    },
    "tools effect": {
        "pavo tools effect put unsafe": "nothing repeats it by itself any more",
        "pavo tools effect put": "as it says itself again",
    },
    "policy": {
        "pavo policy add ask 'mail.*'": "people are asked before any tool that is called so",
        "pavo policy add deny run_command --argument 'command=rm '": "no such command ever runs",
    },
    "policy list": {
        "pavo policy list": "all of your organisation's",
        "pavo policy list --task last": "those that came with the newest task",
    },
    "policy add": {
        "pavo policy add ask --effect unsafe --note 'ask Ada'": "whatever may not be done twice",
        "pavo policy add allow mail.draft --agent writer": "this agent drafts without asking",
        "pavo policy add deny run_command --argument 'command=rm '": "no such command ever runs",
        """pavo policy add ask pay --arguments '{"properties": {"cents": {"minimum": 10000}}}'""": "large sums alone",
    },
    "policy remove": {"pavo policy remove 7a9abd6c": "by the beginning or end of its id"},
    "agents": {"pavo agents list": "what may stand after --agent"},
    "agents list": {"pavo agents list": "what may stand after --agent"},
    "agents show": {"pavo agents show intern": "what may stand after --option"},
    "usage": {
        "pavo usage": "of the last 30 days, day by day",
        "pavo usage --by task --since 7d": "what cost most this week",
        "pavo usage --task last --by call": "each call of the newest task",
    },
    "budget": {
        "pavo budget set month --cost 100": "for all tasks of your organisation together",
        "pavo budget list": "what is used of them",
    },
    "budget list": {"pavo budget list --task last": "those that bound the newest task"},
    "budget set": {
        "pavo budget set month --cost 100": "for all tasks of your organisation together",
        "pavo budget set life --task last --cost 2.50 --tokens 1000000": "for this task alone",
        "pavo budget set life --job last --cost 5": "for this coding job alone",
    },
    "budget remove": {"pavo budget remove 01a2172e-5c95-7721-97c0-0d132dc726ed": "by the id that the list shows"},
    "job": {
        'pavo job submit "Fix the login form" --repo acme/site --program codex': "begun as soon as an agent is free",
        "pavo job watch last": "the newest job, until it is over",
    },
    "job submit": {
        'pavo job submit "Fix the login form" --repo acme/site --program codex': "begun as soon as an agent is free",
        "pavo job submit @issue.md --repo acme/site --program codex --label gpu --priority 80": "soon, where a GPU is",
    },
    "job list": {"pavo job list --stage running": "what is in progress"},
    "job show": {
        "pavo job show last": "the newest job, with its attempts",
        "pavo job show last --workflow": "and what Temporal knows of it",
    },
    "job logs": {"pavo job logs last -f": "what its program prints, until it is over"},
    "job artifacts": {"pavo job artifacts last": "the newest job's patch and report"},
    "job artifact": {
        "pavo job artifact last patch -O job.patch": "what it has changed, for git apply",
        "pavo job artifact last report -O -": "what was asked, done and verified",
    },
    "job cancel": {"pavo job cancel 7a9abd6c": "by the end of its id"},
    "job export": {"pavo job export last -O job.tar.gz": "all that is kept of the newest job"},
    "job remove": {"pavo job remove 7a9abd6c": "one that is over, for good"},
    "job requeue": {"pavo job requeue last": "with all its attempts before it"},
    "job rework": {'pavo job rework last "Use the helper in utils.py"': "on the same branch, before the backlog"},
    "job adopt": {"pavo job adopt 7a9abd6c 2": "what its second attempt has pushed"},
    "job decline": {"pavo job decline 7a9abd6c 2": "what its second attempt left is removed at its agent"},
    "job move": {"pavo job move 7a9abd6c --position 1": "it is next"},
    "job watch": {"pavo job watch last": "the newest job, until it is over"},
    "queue": {"pavo queue show": "what is in progress, what waits, and why"},
    "queue show": {"pavo queue show": "what is in progress, what waits, and why"},
    "queue pause": {"pavo queue pause": "those in progress go on"},
    "queue resume": {"pavo queue resume": "jobs begin again"},
    "queue move": {"pavo queue move 7a9abd6c --position 1": "it is next"},
    "queue limit": {"pavo queue limit 3": "three jobs at the same time"},
    "repo": {
        "pavo repo add acme/site https://github.com/acme/site.git --forge github --credential GITHUB_TOKEN": "once",
        "pavo repo list": "where jobs can work",
    },
    "repo add": {
        "pavo repo add site https://git.example.com/site.git --verify 'tests:1200=make test'": "verified for 20 min",
        "pavo repo add acme/site https://github.com/acme/site.git --forge github --credential GITHUB_TOKEN": "with "
        "pull requests",
    },
    "repo list": {"pavo repo list": "where jobs can work"},
    "repo show": {"pavo repo show acme/site": "how it is prepared and verified"},
    "repo set": {
        "pavo repo set acme/site --verify 'lint=make lint' --verify 'tests=make test'": "in place of those of before",
        "pavo repo set acme/site --review-plan": "people review what the agent plans",
    },
    "repo rm": {"pavo repo rm acme/site --yes": "without being asked"},
    "agent": {
        "pavo agent token create laptops --expires 90d": "what agents prove themselves by, shown this once",
        "pavo agent list": "which there are, and what they are at",
    },
    "agent run": {
        "pavo agent run --url https://pavo.example:7443 --ca ca.pem --name build-7": "its token is in PAVO_AGENT_TOKEN",
        "pavo agent run --labels gpu,linux --capacity 2 --token-file token": "two jobs at once, of those that fit",
    },
    "agent doctor": {
        "pavo agent doctor --url https://pavo.example:7443 --ca ca.pem": "before the first pavo agent run"
    },
    "agent list": {"pavo agent list": "which there are, and what they are at"},
    "agent show": {"pavo agent show build-7": "its jobs, programs and labels"},
    "agent drain": {
        "pavo agent drain build-7": "it finishes, and takes nothing new",
        "pavo agent drain build-7 --undo": "it takes jobs again",
    },
    "agent rm": {"pavo agent rm build-7 --yes": "without being asked"},
    "agent token": {"pavo agent token create build-7 --agent build-7": "for this agent alone"},
    "agent token create": {
        "pavo agent token create build-7 --agent build-7": "for this agent alone",
        "pavo agent token create fleet --shared": "for agents that serve every organisation",
    },
    "agent token list": {"pavo agent token list": "which there are, and when they were used"},
    "agent token revoke": {"pavo agent token revoke pavo_agent_bRqRXM": "by its beginning, as the list shows it"},
    "demo": {"pavo demo --steps 100": "a longer task, with more time to watch it"},
    "up": {
        "pavo up": "until Ctrl-C",
        "pavo up --detach --workers 2": "in the background, with two workers",
        "pavo up --reload": "while you write an agent",
    },
    "down": {"pavo down": "and with pavo up everything goes on"},
    "status": {"pavo status -o json": "for programs; the exit code tells whether all is ready"},
    "logs": {"pavo logs worker-1 -f": "what this worker says, until Ctrl-C"},
    "reset": {"pavo reset --yes": "without being asked"},
    "doctor": {"pavo doctor": "before the first pavo up"},
    "deploy": {
        "pavo deploy start --dry-run": "what would be started and changed",
        "pavo deploy start --target compose": "the stack by Docker",
        "pavo deploy set PAVO_AUTH=token": "a setting that lasts, whatever shell starts it next",
        "pavo deploy check": "whether a rollout may go on",
    },
    "deploy start": {
        "pavo deploy start --target native --dry-run": "what would be started and changed",
        "pavo deploy start": "the same as last time",
    },
    "deploy status": {"pavo deploy status -o json": "for programs; the exit code tells whether all is ready"},
    "deploy stop": {"pavo deploy stop": "and with pavo deploy start everything goes on"},
    "deploy restart": {"pavo deploy restart worker": "all workers, one after the other"},
    "deploy logs": {"pavo deploy logs api": "what the API said last"},
    "deploy destroy": {"pavo deploy destroy": "asks twice"},
    "deploy versions": {"pavo deploy versions": "before an upgrade of Temporal or PostgreSQL"},
    "deploy backup": {"pavo deploy backup": "into the data directory's folder backups"},
    "deploy restore": {"pavo deploy restore backups/2026-11-26T09-35-58Z": "of a stopped deployment"},
    "deploy upgrade": {"pavo deploy upgrade": "to the version that is installed"},
    "deploy settings": {"pavo deploy settings": "which of them differ from this shell's, too"},
    "deploy set": {"pavo deploy set PAVO_AUTH=token": "it lasts, whatever shell starts it next"},
    "deploy unset": {"pavo deploy unset PAVO_AUTH": "its default holds again"},
    "deploy certificates": {"pavo deploy certificates": "which there are, and how long they hold"},
    "deploy check": {"pavo deploy check -o json": "for a pipeline; the exit code tells"},
    "deploy workers": {
        "pavo deploy workers": "which versions there are",
        "pavo deploy workers --set-current 1.5 --ramp 10": "a tenth of the new runs",
    },
    "deploy serve": {"pavo deploy serve --data-dir /var/lib/pavo": "what the unit of systemd runs"},
    "validate": {"pavo validate": "the stack that runs here, or what the environment names"},
    "migrate": {"pavo migrate": "before a new version of API and workers"},
    "api": {
        "pavo api": "as DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS say",
        "pavo api --with-worker": "and a worker that begins and ends with it",
    },
    "worker": {"pavo worker": "as DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS say"},
    "gateway": {"pavo gateway": "as PAVO_GATEWAY_HOST and PAVO_GATEWAY_PORT say, with the addresses of the stores"},
    "corpus": {"pavo corpus add handbook.md": "agents that search find it from now on"},
    "corpus add": {"pavo corpus add handbook.md notes.md": "agents that search find them from now on"},
    "corpus sample": {"pavo corpus sample": "eight documents to try it with"},
    "corpus list": {"pavo corpus list -n 20": "the first 20, by title"},
    "corpus show": {"pavo corpus show 01a2172e-5c95-7721-97c0-0d132dc726ed": "by the id that the list shows"},
    "corpus remove": {"pavo corpus remove 01a2172e-5c95-7721-97c0-0d132dc726ed": "by the id that the list shows"},
    "corpus search": {'pavo corpus search "churn tariff" -n 3': "the best three"},
    "token": {"pavo token list": "whose tokens there are"},
    "token create": {"pavo token create ada@example.com --expires 30d": "it is shown this once"},
    "token list": {"pavo token list --email ada@example.com": "those of one user"},
    "token revoke": {"pavo token revoke pavo_bRqRXM": "by its beginning, as the list shows it"},
    "org": {"pavo org invite ada@example.com": "let somebody join yours"},
    "org invite": {"pavo org invite ada@example.com --org Research": "let somebody join it"},
    "org list": {"pavo org list -n 20": "the first 20"},
    "org create": {"pavo org create Research ada@example.com": "owned by Ada"},
    "org members": {"pavo org members --org Research": "who they are, and their roles"},
    "org role": {"pavo org role ada@example.com owner": "one more owner"},
    "org remove": {"pavo org remove ada@example.com": "what she has made stays"},
    "secret": {
        "pavo secret set OPENAI_API_KEY": "asks for the value; agents that declare it get it",
        "pavo secret list": "which there are, and who set them",
    },
    "secret set": {
        "pavo secret set OPENAI_API_KEY": "a terminal asks for the value",
        "pavo secret set OPENAI_API_KEY < key.txt": "the value is what the file has",
    },
    "secret list": {"pavo secret list": "which there are, and who set them when"},
    "secret remove": {"pavo secret remove OPENAI_API_KEY": "agents that ask for it fail, and say so"},
    "secret changes": {"pavo secret changes -n 100": "the last hundred"},
    "secret rotate": {"pavo secret rotate": "after pavo deploy set --generate PAVO_SEALING_KEY and a restart"},
    "endpoint": {
        "pavo endpoint set work --url https://api.openai.com/v1 --secret OPENAI_API_KEY": "under the name work",
        'pavo run "Sum it up" --agent llm --option endpoint=work': "a task whose model is asked there",
    },
    "endpoint set": {
        "pavo endpoint set work --url https://api.openai.com/v1 --secret OPENAI_API_KEY": "its key is a secret",
        "pavo endpoint set mini --url https://api.openai.com/v1 --model gpt-5-mini": "with a model of its own",
    },
    "endpoint list": {"pavo endpoint list": "which there are"},
    "endpoint show": {"pavo endpoint show work": "where it is, and which secret it sends"},
    "endpoint remove": {"pavo endpoint remove work": "tasks that name it fail, and say so"},
    "webhook": {
        "pavo webhook add https://example.com/hooks/pavo": "tell this receiver of everything",
        "pavo webhook test https://example.com/hooks/pavo": "whether it takes what is sent",
    },
    "webhook add": {
        "pavo webhook add https://example.com/hooks/pavo --event task.waiting": "when somebody has to review",
    },
    "webhook list": {"pavo webhook list": "who is told, and what waits for them"},
    "webhook show": {"pavo webhook show https://example.com/hooks/pavo": "how it has answered lately"},
    "webhook test": {"pavo webhook test https://example.com/hooks/pavo": "whether it takes what is sent"},
    "webhook rotate": {"pavo webhook rotate https://example.com/hooks/pavo --overlap 12h": "both sign for so long"},
    "webhook enable": {"pavo webhook enable https://example.com/hooks/pavo": "what waits for it is sent at once"},
    "webhook remove": {"pavo webhook remove https://example.com/hooks/pavo": "nothing more is sent there"},
    "webhook deliveries": {
        "pavo webhook deliveries https://example.com/hooks/pavo --state pending": "what it has not taken yet",
    },
    "webhook resend": {
        "pavo webhook resend https://example.com/hooks/pavo 01a2172e-5c95-7721-97c0-0d132dc726ed": "the same message",
    },
}
"""Of a command, by the words that name it: what may be typed, and what that does."""


def epilogue(path: str) -> str:
    """What ends the help of a command: its examples, and the exit codes."""
    examples = "".join(f"- `{typed}` - {meaning}\n" for typed, meaning in EXAMPLES.get(path, {}).items())
    return f"Examples:\n\n{examples}\n{EXIT_CODES}" if examples else EXIT_CODES


def give_examples(group: App, name: str) -> None:
    """End the help of each command of a group by its own examples; without, it would have those of the group."""
    for command in group:
        if not command.startswith("-"):
            group[command].help_epilogue = epilogue(f"{name} {command}")
