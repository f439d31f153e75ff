// The live timeline: newest first; runs of checkpoints fold into one line.

import { h, number, plural, show, time } from "./dom.js";
import { label } from "./stages.js";

const SHOWN = 250;
const OWN = new Set(["seq", "type", "at"]);

const WORDS = {
  stage: (e) => [`Stage: ${label(e.stage)}`, null],
  context: (e) => [`Found ${plural(e.n, "document")} to plan with`, e.titles.join(" · ")],
  plan: (e) => [`Plan v${e.version} is open for review`, e.hash.slice(0, 12)],
  feedback: (e) => [e.withdrawn ? "A comment was withdrawn" : e.edited ? "A comment was changed" : "A comment was added", null],
  accepted: (e) => ["The plan was accepted", e.by.startsWith("policy:") ? "by policy, without a review" : `by ${e.by}${e.overridden ? `, in spite of ${plural(e.overridden, "open comment")}` : ""} · ${e.hash.slice(0, 12)}`],
  message: (e) => [`${e.by} said${e.placed === "prompt" ? ", for the prompt" : ""}`, e.body],
  recovered: (e) => [`Went on after checkpoint ${number(e.step)}`, e.cause],
  code_changed: (e) => [`Goes on with ${e.now}`, `before: ${e.before}`],
  retry: (e) => [`Checkpoint ${number(e.step)} failed, try ${e.attempt}`, e.error],
  gate_opened: (e) => [`Asks: ${(e.kind === "approval" ? e.text.split("\n", 1)[0] : e.text).slice(0, 200)}`, null],
  artifact_added: (e) => [`Keeps ${e.name}`, `${e.bytes} bytes`],
  gate_closed: (e) => [e.state === "answered" ? `“${e.key}” answered by ${e.by}` : `“${e.key}”: ${e.state}`, e.note ?? null],
  child_created: (e) => [h("a", { href: `#/tasks/${e.task_id}` }, `Delegates to ${e.agent}: ${e.title}`), null],
  child_over: (e) => [h("a", { href: `#/tasks/${e.task_id}` }, `Delegated task: ${e.stage}`), e.cause ?? null],
  tool_called: (e) => [`Calls ${e.tool}`, e.arguments],
  tool_done: (e) => [`${e.tool}: ${e.state}`, e.excerpt],
  waiting: (e) => [`Waiting for ${e.for}`, null],
  stopped: (e) => [`Stopped after checkpoint ${number(e.receipt.last_step)}`, e.receipt.resume],
  no_progress: (e) => [`No progress: began ${number(e.beginnings)} times again after checkpoint ${number(e.step)}`, e.cause],
  report: () => ["The report is there", null],
  failed: (e) => ["The task failed", e.error?.cause ?? null],
  edited: (e) => [`Changed: ${e.changed.join(", ").replace("agent_options", "options")}`, e.replanned ? "planned and reviewed anew" : e.options ? JSON.stringify(e.options) : null],
  deleted: () => ["The task was deleted", null],
};

function other(event) {
  const rest = Object.fromEntries(Object.entries(event).filter(([name]) => !OWN.has(name)));
  return [event.type, Object.keys(rest).length ? JSON.stringify(rest) : null];
}

function row(event) {
  const [text, detail] = (WORDS[event.type] ?? other)(event);
  const kind = event.type === "stage" ? `stage ${event.stage.toLowerCase()}` : event.type;
  return h(
    "li",
    { class: kind, "data-seq": event.seq },
    h("div", {}, h("span", { class: "what" }, text), detail && h("span", { class: "detail" }, detail)),
    time(event.at, { short: true }),
  );
}

function fold(ticks) {
  const { first, last } = ticks;
  const many = first.step === last.step ? `Checkpoint ${number(first.step)}` : `Checkpoints ${number(first.step)} – ${number(last.step)}`;
  const text = last.plan_step ? `${many} recorded, plan step ${number(last.plan_step)}` : `${many} recorded`;
  return h(
    "li",
    { class: "tick", "data-seq": last.seq },
    h("div", {}, h("span", { class: "what" }, text)),
    time(last.at, { short: true }),
  );
}

// What the agent says before it is recorded: shown as it comes, replaced by the event that records it, or taken back.
class Said {
  #place = null;
  #texts = new Map();
  #frame = 0;

  constructor() {
    this.element = h("p", { class: "said", hidden: true });
  }

  take({ attempt, step, deltas }) {
    if (this.#place?.attempt !== attempt || this.#place?.step !== step) this.#texts.clear();
    this.#place = { attempt, step };
    for (const { type, offset, data } of deltas) {
      if (offset === undefined) continue;
      this.#texts.set(type, offset === 0 ? data.text : (this.#texts.get(type) ?? "") + data.text);
    }
    this.#draw();
  }

  // Up to this step it is recorded, or taken back.
  end(step) {
    if (this.#place && this.#place.step <= step) {
      this.#place = null;
      this.#texts.clear();
      this.#draw();
    }
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const text = [...this.#texts.values()].filter(Boolean).join("\n");
      this.element.hidden = !text;
      show(this.element, text);
    });
  }
}

export class Timeline {
  said = new Said();
  #entries = [];
  #frame = 0;
  #state = "connecting";

  constructor() {
    this.list = h("ol", { class: "events" });
    this.pulse = h("span", { class: "pulse", role: "status" }, "Connecting");
    this.more = h("p", { class: "faint" });
    this.element = h(
      "section",
      { class: "timeline", "aria-labelledby": "timeline-title" },
      h("header", {}, h("h2", { id: "timeline-title" }, "Timeline"), this.pulse),
      this.said.element,
      this.list,
      this.more,
    );
  }

  // Told when only the newest part is read; `onAll` reads the rest.
  startsAt(seq, onAll) {
    show(
      this.more,
      seq > 0 && [
        `Begins after event ${number(seq)}. `,
        h("button", { type: "button", class: "link", onclick: onAll }, "Show all of it"),
      ],
    );
  }

  state(name) {
    this.#state = name;
    const words = { live: "Live", reconnecting: "Reconnecting…", ended: "Complete", connecting: "Connecting" };
    this.pulse.className = `pulse ${name}`;
    show(this.pulse, words[name]);
  }

  add(event) {
    const newest = this.#entries[0];
    if (event.type === "tick") this.said.end(event.step);
    if (event.type === "plan") this.said.end(0);
    if (event.type === "report") this.said.end(Infinity);
    if (event.type === "tick") {
      if (newest?.last) newest.last = event;
      else this.#entries.unshift({ first: event, last: event });
    } else if (event.type !== "progress") {
      // How far it is, the steps beside it say too.
      this.#entries.unshift({ event });
    }
    this.#entries.length = Math.min(this.#entries.length, SHOWN);
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    show(this.list, this.#entries.map((entry) => (entry.event ? row(entry.event) : fold(entry))));
  }
}
