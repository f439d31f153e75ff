// Plans and the report: versions, numbered steps, comments and the agent's answers.

import { h, number, plural, show, time } from "./dom.js";
import { inline, markdown } from "./markdown.js";

const STATUS = { REVIEW: "in review", ACCEPTED: "accepted", LOCKED: "superseded" };

export class PlanView {
  #documents = [];
  #chosen = null;
  #drafts = new Map();

  // commands: comment(document, step, body), edit(document, feedback, body), each resolving to whether it worked.
  constructor(commands, me) {
    this.commands = commands;
    this.me = me;
    this.element = h("div", { class: "documents" });
  }

  update(documents, stage) {
    this.stage = stage;
    const newest = documents.filter((item) => item.kind === "PLAN").at(-1);
    const before = this.#documents.filter((item) => item.kind === "PLAN").at(-1);
    if (newest?.id !== before?.id) this.#chosen = newest?.id ?? null;
    this.#documents = documents;
    this.draw();
  }

  draw() {
    const plans = this.#documents.filter((item) => item.kind === "PLAN");
    const report = this.#documents.find((item) => item.kind === "REPORT");
    const chosen = plans.find((item) => item.id === this.#chosen);
    show(
      this.element,
      report && h("section", { class: "card report", "aria-label": "Report" }, h("h2", {}, "Report"), h("div", { class: "prose" }, markdown(report.body))),
      chosen && this.#plan(chosen, plans),
    );
  }

  #plan(plan, plans) {
    const open = plan.status === "REVIEW" && this.stage === "WAIT_RFC";
    const before = plans.find((item) => item.version === plan.version - 1);
    return h(
      "section",
      { class: "card plan", "aria-label": "Plan" },
      h("header", {}, h("h2", {}, `Plan v${plan.version}`), this.#versions(plans, plan)),
      h("div", { class: "prose summary" }, markdown(plan.content.summary ?? "")),
      before?.feedback.length > 0 && this.#changes(before),
      h(
        "ol",
        { class: "steps" },
        (plan.content.steps ?? []).map((step, index) => this.#step(plan, step, index + 1, open)),
      ),
      h(
        "section",
        { class: "whole", "aria-label": "Comments on the whole plan" },
        this.#comments(plan, null, open),
        open && this.#commenter(plan, null, "Comment on the whole plan"),
      ),
      h("p", { class: "faint" }, this.#origin(plan)),
    );
  }

  #origin(plan) {
    const hash = h("code", { title: plan.hash }, plan.hash.slice(0, 12));
    const by = plan.accepted_by?.startsWith("policy:") ? "by policy" : plan.accepted_by === this.me() ? "by you" : "";
    const accepted = plan.accepted_at && [` · accepted ${by} `, time(plan.accepted_at)];
    return ["Hash ", hash, " · made ", time(plan.created_at), accepted];
  }

  #versions(plans, chosen) {
    if (plans.length === 1) return h("span", { class: "faint" }, STATUS[chosen.status] ?? chosen.status);
    const choose = (plan) => () => {
      this.#chosen = plan.id;
      this.draw();
    };
    return h(
      "div",
      { class: "versions", role: "group", "aria-label": "Versions of the plan" },
      plans.map((plan) =>
        h(
          "button",
          { type: "button", id: `version-${plan.version}`, "aria-pressed": String(plan === chosen), onclick: choose(plan) },
          `v${plan.version} ${STATUS[plan.status] ?? plan.status}`,
        ),
      ),
    );
  }

  #changes(before) {
    return h(
      "details",
      { class: "changes", open: true },
      h("summary", {}, `What became of ${plural(before.feedback.length, "comment")} on v${before.version}`),
      h("ul", { class: "comments" }, before.feedback.map((item) => this.#comment(before, item, false, true))),
    );
  }

  #step(plan, step, index, open) {
    return h(
      "li",
      { id: `step-${index}` },
      h("span", { class: "ordinal", "aria-hidden": "true" }, index),
      h(
        "div",
        {},
        h("h3", {}, inline(step.title)),
        step.detail && h("div", { class: "prose" }, markdown(step.detail)),
        this.#comments(plan, index, open),
        open && this.#commenter(plan, index, `Comment on step ${index}`),
      ),
    );
  }

  #comments(plan, step, open) {
    const found = plan.feedback.filter((item) => item.step === step);
    return found.length > 0 && h("ul", { class: "comments" }, found.map((item) => this.#comment(plan, item, open, false)));
  }

  #comment(plan, item, open, placed) {
    const key = `edit-${item.id}`;
    const who = item.author_id === this.me() ? "You" : "A colleague";
    const where = placed && (item.step ? ` on step ${number(item.step)}` : " on the whole plan");
    const editable = open && !item.answer;
    if (editable && this.#drafts.has(key)) return h("li", {}, this.#editor(key, "Change the comment", (body) => this.commands.edit(plan, item, body)));
    return h(
      "li",
      {},
      h("p", { class: "by" }, who, where, " · ", time(item.updated_at, { short: true }), !item.answer && item.updated_at !== item.created_at && " · edited"),
      h("p", { class: "said" }, item.body),
      item.answer && h("p", { class: "answer" }, h("strong", {}, "The agent: "), item.answer),
      editable && h("button", { type: "button", class: "link", id: `open-${key}`, onclick: () => this.#open(key, item.body) }, "Edit"),
    );
  }

  #commenter(plan, step, title) {
    const key = `new-${plan.id}-${step ?? "all"}`;
    if (this.#drafts.has(key)) return this.#editor(key, title, (body) => this.commands.comment(plan, step, body));
    return h("button", { type: "button", class: "link comment", id: `open-${key}`, "aria-label": title, onclick: () => this.#open(key, "") }, step === null ? title : "Comment");
  }

  #open(key, text) {
    this.#drafts.set(key, text);
    this.draw();
    document.getElementById(key)?.focus();
  }

  #shut(key) {
    this.#drafts.delete(key);
    this.draw();
    document.getElementById(`open-${key}`)?.focus();
  }

  #editor(key, title, save) {
    const text = h("textarea", {
      id: key,
      rows: 3,
      maxlength: 20000,
      required: true,
      "aria-label": title,
      value: this.#drafts.get(key),
      oninput: () => this.#drafts.set(key, text.value),
      onkeydown: (event) => {
        if (event.key === "Escape") this.#shut(key);
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      },
    });
    const submit = async (event) => {
      event.preventDefault();
      if (text.value.trim() && (await save(text.value))) this.#shut(key);
    };
    const form = h(
      "form",
      { class: "editor", onsubmit: submit },
      text,
      h(
        "div",
        { class: "row" },
        h("button", { class: "small primary" }, "Save comment"),
        h("button", { type: "button", class: "small quiet", onclick: () => this.#shut(key) }, "Cancel"),
      ),
    );
    return form;
  }

  get openFeedback() {
    const newest = this.#documents.filter((item) => item.kind === "PLAN").at(-1);
    return (newest?.feedback ?? []).filter((item) => !item.answer).length;
  }
}
