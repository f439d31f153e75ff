// Tells a page of events, read from standard input, with the types that openapi-typescript made of the description.
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

const page = JSON.parse(readFileSync(0, "utf8")) as Page;
for (const event of page.items) {
  if (isOfPavo(event)) told(event);
  console.log(isOfPavo(event) ? "PavoEvent" : "AgentEvent", event.type);
}
