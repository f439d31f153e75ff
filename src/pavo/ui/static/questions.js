// What a task's agent asks people, and which calls of tools they are to allow: a form for each, which answers what is
// shown and nothing else.

import { gates, Problem } from "./api.js";
import { h, show, time } from "./dom.js";
import { run } from "./notice.js";

const TEXT = JSON.stringify({ type: "string" });

export class Questions {
  #shown = new Map();

  // onAnswered: called once an answer is recorded, or refused.
  constructor(id, onAnswered) {
    Object.assign(this, { id, onAnswered });
    this.element = h("div", { class: "questions" });
  }

  // A form that is on the page stays the element that it is, with what was typed, while its question is asked.
  async update(task) {
    const waits = task.stage_status.startsWith("WAITING:") || this.#shown.size;
    const asks = waits && task.stage === "EXECUTING";
    const open = asks ? (await gates.open(this.id)).items : [];
    const there = new Set(open.map((gate) => gate.id));
    for (const [id, form] of this.#shown) {
      if (there.has(id)) continue;
      form.remove();
      this.#shown.delete(id);
    }
    for (const gate of open) {
      if (this.#shown.has(gate.id)) continue;
      const form = this.#form(gate);
      this.#shown.set(gate.id, form);
      this.element.append(form);
    }
  }

  #form(gate) {
    const notice = h("div", { class: "notices" });
    const head = `question-${gate.id}`;
    const approval = gate.kind === "approval";
    const free = JSON.stringify(gate.answer_schema) === TEXT;
    const field = gate.choices.length ? null : h("textarea", { id: `answer-${gate.id}`, rows: 2, "aria-labelledby": head });
    const why = approval && h("input", { id: `why-${gate.id}`, maxlength: 2000, placeholder: "If you deny it: why? The agent reads this", "aria-label": "Why it is denied" });
    const buttons = gate.choices.length
      ? gate.choices.map((choice) => h("button", { type: "button", onclick: () => send(choice) }, choice))
      : [h("button", { class: "primary" }, "Answer")];
    const send = async (answer) => {
      const done = await run(notice, () => gates.answer(gate.id, gate.hash, answer, approval && answer === "deny" ? why.value.trim() : ""), { buttons });
      if (done) await Promise.resolve(this.onAnswered()).catch(quiet);
    };
    const submit = (event) => {
      event.preventDefault();
      if (gate.choices.length) return;
      const typed = read(field.value, free, gate.answer_schema);
      if (typed.wrong) show(notice, h("p", { class: "remedy", role: "alert" }, typed.wrong));
      else send(typed.answer);
    };
    return h(
      "form",
      { class: "notice question", "aria-labelledby": head, onsubmit: submit },
      approval ? asked(head, gate.text) : h("strong", { id: head }, gate.text),
      field,
      why,
      !free && !gate.choices.length && h("p", { class: "faint" }, `JSON that fits ${JSON.stringify(gate.answer_schema)}`),
      h("div", { class: "row" }, buttons),
      gate.may_answer === "owner" && h("p", { class: "faint" }, "Only owners of the organisation may answer this."),
      gate.expires_at && h("p", { class: "faint" }, gate.has_default ? `Without an answer it is ${JSON.stringify(gate.default)}, at ` : "It is not asked any more at ", time(gate.expires_at), "."),
      notice,
    );
  }
}

// A call is read as it is: its first line asks, and the rest keeps its lines.
function asked(id, text) {
  const end = text.indexOf("\n");
  return h("div", {}, h("strong", { id }, text.slice(0, end)), h("pre", { class: "call" }, text.slice(end).trim()));
}

// Whether a schema says plainly that this text is an answer; the API judges whatever is sent.
function takes(schema, text) {
  if (schema?.enum) return schema.enum.includes(text);
  return schema?.type === "string" || [...(schema?.anyOf ?? []), ...(schema?.oneOf ?? [])].some((form) => takes(form, text));
}

function read(text, free, schema) {
  if (free) return text.trim() ? { answer: text } : { wrong: "Type an answer." };
  try {
    return { answer: JSON.parse(text) };
  } catch (error) {
    if (takes(schema, text.trim())) return { answer: text.trim() };
    return { wrong: `This is no JSON: ${error.message}` };
  }
}

function quiet(problem) {
  if (!(problem instanceof Problem)) throw problem;
}
