// Tells two pages of events, of a task and of a job, read from standard input, with the types that openapi-typescript made of the description.
import { readFileSync } from "node:fs";
import type { components, paths } from "./api";

type TaskEvent = components["schemas"]["TaskEvent"];
type PavoEvent = components["schemas"]["PavoEvent"];
type Page = paths["/api/tasks/{task_id}/events"]["get"]["responses"][200]["content"]["application/json"];

// The compiler asks for each of Pavo's types here, and refuses any other.
const OF_PAVO: Record<PavoEvent["type"], true> = {
  stage: true,
  context: true,
  plan: true,
  feedback: true,
  accepted: true,
  tick: true,
  progress: true,
  recovered: true,
  code_changed: true,
  retry: true,
  waiting: true,
  no_progress: true,
  stopped: true,
  report: true,
  failed: true,
  message: true,
  edited: true,
  gate_opened: true,
  gate_closed: true,
  tool_called: true,
  tool_done: true,
  artifact_added: true,
  child_created: true,
  child_over: true,
  deleted: true,
};
const isOfPavo = (event: TaskEvent): event is PavoEvent => Object.hasOwn(OF_PAVO, event.type);

function told(event: PavoEvent): string {
  switch (event.type) {
    case "stage": return `${event.stage} ${event.status}`;
    case "context": return event.titles.join();
    case "plan": return event.version.toFixed() + event.hash;
    case "feedback": return event.withdrawn ? "withdrawn" : event.edited ? "edited" : "added";
    case "accepted": return event.by_user?.name ?? event.by;
    case "tick": return `${event.step.toFixed()} of ${event.total?.toFixed() ?? "?"}`;
    case "progress": return event.steps.toFixed();
    case "recovered": return event.cause;
    case "code_changed": return event.before + event.now;
    case "retry": return event.error + (event.next_retry_at ?? "soon");
    case "waiting": return event.for;
    case "no_progress": return event.beginnings.toFixed();
    case "stopped": return event.receipt.resume;
    case "report": return event.doc_id;
    case "failed": return event.error.remedy;
    case "message": return event.placed === "prompt" ? "into the prompt" : event.body;
    case "edited": return event.changed.join();
    case "gate_opened": return event.choices?.join() ?? event.text;
    case "gate_closed": return event.by_user?.name ?? event.state;
    case "tool_called": return event.arguments;
    case "tool_done": return event.excerpt;
    case "artifact_added": return event.name;
    case "child_created": return event.title;
    case "child_over": return event.stage;
    case "deleted": return "gone";
    default: {
      const none: never = event;
      return none;
    }
  }
}

export function forgetful(event: PavoEvent): string {
  switch (event.type) {
    case "stage": return event.status;
    default: {
      // @ts-expect-error: the compiler finds the other types, which were forgotten.
      const none: never = event;
      return none;
    }
  }
}

type JobEvent = components["schemas"]["JobEvent"];
type KnownJobEvent = components["schemas"]["KnownJobEvent"];
type JobPage = paths["/api/jobs/{job_id}/events"]["get"]["responses"][200]["content"]["application/json"];

const OF_JOBS: Record<KnownJobEvent["type"], true> = {
  queued: true,
  stage: true,
  claimed: true,
  plan: true,
  plan_answered: true,
  verified: true,
  pull_request: true,
  attempt_ended: true,
  cancel_asked: true,
  message: true,
  note: true,
  adopted: true,
  late_work: true,
  artifact_added: true,
  moved: true,
  deleted: true,
};
const isKnown = (event: JobEvent): event is KnownJobEvent => Object.hasOwn(OF_JOBS, event.type);

function toldOfJob(event: KnownJobEvent): string {
  switch (event.type) {
    case "queued": return event.by ?? event.kind;
    case "stage": return event.stage;
    case "claimed": return event.agent;
    case "plan": return event.gate_id;
    case "plan_answered": return event.note ?? event.by;
    case "verified": return event.failed.join();
    case "pull_request": return event.url;
    case "attempt_ended": return event.error?.remedy ?? event.how;
    case "cancel_asked": return event.by;
    case "message": return event.body;
    case "adopted": return event.epoch.toFixed();
    case "note": return event.text;
    case "artifact_added": return event.name;
    case "late_work": return event.branch ?? event.state;
    case "artifact_added": return event.name;
    case "moved": return event.priority.toFixed();
    case "deleted": return "gone";
    default: {
      const none: never = event;
      return none;
    }
  }
}

const [page, ofJob] = JSON.parse(readFileSync(0, "utf8")) as [Page, JobPage];
for (const event of page.items) {
  if (isOfPavo(event)) told(event);
  console.log(isOfPavo(event) ? "PavoEvent" : "AgentEvent", event.type);
}
for (const event of ofJob.items) {
  if (isKnown(event)) toldOfJob(event);
  console.log(isKnown(event) ? "KnownJobEvent" : "LaterJobEvent", event.type);
}
