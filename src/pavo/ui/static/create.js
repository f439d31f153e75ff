// A new task: the options' form is made from the agent's JSON Schema.

import { agents, tasks } from "./api.js";
import { h, show } from "./dom.js";
import { run } from "./notice.js";

const words = (name) => name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
const kinds = (schema) => [schema.type ?? []].flat();

function input(name, schema, required) {
  const base = { id: `option-${name}`, name, required, "aria-describedby": schema.description ? `about-${name}` : null };
  const kind = kinds(schema);
  if (schema.enum) {
    return h("select", base, schema.enum.map((item) => h("option", { value: JSON.stringify(item), selected: item === schema.default }, item)));
  }
  if (kind.includes("boolean")) return h("input", { ...base, required: false, type: "checkbox", checked: schema.default === true });
  if (kind.includes("integer") || kind.includes("number")) {
    const step = kind.includes("integer") ? 1 : "any";
    return h("input", { ...base, type: "number", step, min: schema.minimum, max: schema.maximum, value: schema.default ?? "" });
  }
  if (kind.includes("string")) return h("input", { ...base, type: "text", maxlength: schema.maxLength, value: schema.default ?? "" });
  return h("textarea", { ...base, rows: 2, placeholder: "JSON", value: schema.default === undefined ? "" : JSON.stringify(schema.default) });
}

function read(control, schema) {
  if (control.type === "checkbox") return control.checked;
  const text = control.value;
  if (control.tagName === "SELECT") return JSON.parse(text);
  if (!text.trim()) return undefined;
  if (control.type === "number") return Number(text);
  if (control.tagName !== "TEXTAREA") return text;
  try {
    control.setCustomValidity("");
    return JSON.parse(text);
  } catch (cause) {
    control.setCustomValidity("This must be JSON.");
    control.reportValidity();
    throw cause;
  }
}

function field(name, schema, required) {
  return h(
    "div",
    { class: "field" },
    h("label", { for: `option-${name}` }, schema.title ?? words(name)),
    input(name, schema, required),
    schema.description && h("p", { class: "faint", id: `about-${name}` }, schema.description),
  );
}

const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class CreateView {
  #agents = [];
  // The same form sent twice is the same task; changing it makes it another.
  #key = key();

  constructor({ onCreated }) {
    this.onCreated = onCreated;
    this.notice = h("div", { class: "notices" });
    this.options = h("div", { class: "options" });
    this.about = h("p", { class: "faint", id: "about-agent" });
    this.agent = h("select", { id: "agent", name: "agent", "aria-describedby": "about-agent", onchange: () => this.#choose() });
    this.title = h("input", { id: "title", name: "title", type: "text", required: true, maxlength: 300, autocomplete: "off", placeholder: "Analyze churn drivers" });
    this.prompt = h("textarea", { id: "prompt", name: "prompt", rows: 5, maxlength: 200000, placeholder: "What should come out, what to look at, what to leave alone." });
    this.auto = h("input", { id: "auto", type: "checkbox" });
    this.submit = h("button", { class: "primary" }, "Create and plan");
    this.element = h("section", { class: "create card" }, h("h1", { tabindex: "-1" }, "New task"), this.#form());
  }

  #form() {
    return h(
      "form",
      { onsubmit: (event) => (event.preventDefault(), this.#send()), oninput: () => (this.#key = key()) },
      h("div", { class: "field" }, h("label", { for: "title" }, "Title"), this.title),
      h("div", { class: "field" }, h("label", { for: "prompt" }, "Prompt ", h("span", { class: "faint" }, "(optional)")), this.prompt),
      h("div", { class: "field" }, h("label", { for: "agent" }, "Agent"), this.agent, this.about),
      this.options,
      h("div", { class: "check" }, this.auto, h("label", { for: "auto" }, "Accept the first plan without a review")),
      this.notice,
      h("div", { class: "row" }, this.submit),
    );
  }

  async open() {
    const found = await run(this.notice, agents);
    if (!found) return;
    this.#agents = found.filter((agent) => agent.health !== "broken");
    show(this.agent, this.#agents.map((agent) => h("option", { value: agent.name, selected: agent.name === "intern" }, agent.name)));
    this.#choose();
    this.title.focus();
  }

  close() {}

  #choose() {
    const agent = this.#agents.find((item) => item.name === this.agent.value);
    const { properties = {}, required = [] } = agent?.options_schema ?? {};
    const fields = Object.entries(properties).map(([name, schema]) => field(name, schema, required.includes(name)));
    show(this.about, [agent?.description, agent?.detail].filter(Boolean).join(" "));
    show(this.options, fields.length > 0 && h("details", { open: required.length > 0 }, h("summary", {}, "Options of the agent"), h("div", { class: "grid" }, fields)));
  }

  #chosen() {
    const agent = this.#agents.find((item) => item.name === this.agent.value);
    const chosen = {};
    for (const [name, schema] of Object.entries(agent?.options_schema.properties ?? {})) {
      const value = read(document.getElementById(`option-${name}`), schema);
      // What is left at its default stays the agent's to decide.
      if (value !== undefined && JSON.stringify(value) !== JSON.stringify(schema.default)) chosen[name] = value;
    }
    return chosen;
  }

  async #send() {
    let options;
    try {
      options = this.#chosen();
    } catch (cause) {
      if (cause instanceof SyntaxError) return;
      throw cause;
    }
    const body = { title: this.title.value, prompt: this.prompt.value, agent_type: this.agent.value, agent_options: options, auto_accept: this.auto.checked };
    const task = await run(
      this.notice,
      async () => {
        const created = await tasks.create(body, this.#key);
        await tasks.start(created.id);
        return created;
      },
      { buttons: [this.submit] },
    );
    if (task) this.onCreated(task);
  }
}
