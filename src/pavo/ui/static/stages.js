// How stages read.

import { h, number, plural } from "./dom.js";

const LABELS = {
  INIT: "Not started",
  PLANNING: "Planning",
  WAIT_RFC: "In review",
  EXECUTING: "Running",
  DONE: "Done",
  STOPPED: "Stopped",
  FAILED: "Failed",
};

export const label = (stage) => LABELS[stage] ?? stage;
export const isActive = (stage) => ["PLANNING", "WAIT_RFC", "EXECUTING"].includes(stage);

export function percent(task) {
  if (task.stage === "DONE") return 100;
  return task.total ? Math.min(100, Math.floor((100 * task.progress) / task.total)) : null;
}

export function badge(task) {
  const part = task.stage === "EXECUTING" ? percent(task) : null;
  const waits = /^WAITING:(.*)$/.exec(task.stage_status)?.[1];
  const text = waits ? `Waits: ${waits}` : part === null ? label(task.stage) : `${label(task.stage)} ${part} %`;
  return h("span", { class: `badge ${task.stage.toLowerCase()}`, "data-stage": task.stage }, text);
}

// Where a task stands: "24 of 60 checkpoints, plan step 3 of 5".
export function recorded(task) {
  const { steps, progress, total, plan_step } = task;
  let done = plural(steps, "checkpoint");
  if (total && progress === steps) done = `${number(steps)} of ${number(total)} checkpoints`;
  else if (total) done = `${number(progress)} of ${number(total)} done, ${done}`;
  return task.stage !== "DONE" && plan_step && task.plan?.steps ? `${done}, plan step ${number(plan_step)} of ${number(task.plan.steps)}` : done;
}

const ROAD = ["PLANNING", "WAIT_RFC", "EXECUTING", "DONE"];
const ROAD_LABELS = { PLANNING: "Plan", WAIT_RFC: "Review", EXECUTING: "Run", DONE: "Report" };

// Where on its road a task is; a stopped or failed one stands where it was.
export function road(task) {
  const reached = task.steps > 0 || task.plan?.status === "ACCEPTED" ? "EXECUTING" : task.plan ? "WAIT_RFC" : "PLANNING";
  const here = ROAD.includes(task.stage) ? task.stage : task.stage === "INIT" ? null : reached;
  const at = ROAD.indexOf(here);
  const halted = ["STOPPED", "FAILED"].includes(task.stage) ? ` ${task.stage.toLowerCase()}` : "";
  const state = (index) => (index < at || task.stage === "DONE" ? "past" : index === at ? `here${halted}` : "ahead");
  return h(
    "ol",
    { class: "road", "aria-label": "Stages" },
    ROAD.map((stage, index) =>
      h("li", { class: state(index), "aria-current": index === at ? "step" : null }, ROAD_LABELS[stage]),
    ),
  );
}
