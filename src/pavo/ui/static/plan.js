// Plans and the report: versions, numbered steps, comments and the agent's answers.

import { h, number, plural, show, time } from "./dom.js";
import { inline, markdown } from "./markdown.js";

const STATUS = { REVIEW: "in review", ACCEPTED: "accepted", LOCKED: "superseded" };

export class PlanView {
  #documents = [];
  #chosen = null;
  #arrived = null;
  #drafts = new Map();

  // Set by whoever ended the review here: then the next version is what they wait for.
  followsNewest = false;

  // commands: comment(document, step, body), edit(document, feedback, body), withdraw(document, feedback), older(),
  // moreComments(document), each resolving to whether it worked. onChosen: another version is shown.
  constructor(commands, me, onChosen) {
    this.commands = commands;
    this.me = me;
    this.onChosen = onChosen;
    this.element = h("div", { class: "documents" });
  }

  // A version that somebody reads is never swapped under their eyes: a newer one is offered.
  update(documents, stage, hasOlder) {
    this.stage = stage;
    this.hasOlder = hasOlder;
    const before = this.newest;
    this.#documents = documents;
    if (this.newest && this.newest.id !== before?.id) {
      if (this.shown && before && !this.followsNewest) this.#arrived = this.newest.id;
      else this.#choose(this.newest);
      this.followsNewest = false;
    }
    this.draw();
  }

  get newest() {
    return this.#documents.filter((item) => item.kind === "PLAN").at(-1);
  }

  // The version that is on the page.
  get shown() {
    return this.#documents.find((item) => item.id === this.#chosen);
  }

  showNewest() {
    this.#choose(this.newest);
    this.draw();
  }

  #choose(plan) {
    if (plan === this.newest) this.#arrived = null;
    // What was typed and not sent goes along to the version that can still be commented on.
    if (plan.status === "REVIEW") {
      for (const [key, draft] of [...this.#drafts]) {
        if (draft.plan.id === plan.id) continue;
        this.#drafts.delete(key);
        const step = draft.step !== null && draft.step <= (plan.content.steps ?? []).length ? draft.step : null;
        const moved = `new-${plan.id}-${step ?? "all"}`;
        const also = this.#drafts.get(moved)?.text;
        this.#drafts.set(moved, { plan, step, item: null, text: also ? `${also}\n${draft.text}` : draft.text });
      }
    }
    this.#chosen = plan.id;
    this.onChosen();
  }

  // Comments that were typed and not sent.
  get unsent() {
    return [...this.#drafts.values()].filter((draft) => draft.text.trim() && draft.text !== draft.item?.body);
  }

  async sendUnsent() {
    for (const [key, draft] of [...this.#drafts]) {
      if (!this.unsent.includes(draft)) continue;
      if (!(await this.#save(draft))) return false;
      this.#drafts.delete(key);
    }
    this.draw();
    return true;
  }

  discardUnsent() {
    this.#drafts.clear();
    this.draw();
  }

  #save({ plan, step, item, text }) {
    return item ? this.commands.edit(plan, item, text) : this.commands.comment(plan, step, text);
  }

  draw() {
    const plans = this.#documents.filter((item) => item.kind === "PLAN");
    const report = this.#documents.find((item) => item.kind === "REPORT");
    const chosen = plans.find((item) => item.id === this.#chosen);
    const arrived = plans.find((item) => item.id === this.#arrived);
    show(
      this.element,
      arrived && this.#offer(arrived, chosen),
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
        this.#more(plan),
      ),
      h("p", { class: "faint" }, this.#origin(plan)),
    );
  }

  #more(plan) {
    const left = plan.feedback_left;
    return left && h("button", { type: "button", class: "link", id: `more-comments-${plan.id}`, onclick: () => this.commands.moreComments(plan) }, `Show more comments (${number(left.count)} left)`);
  }

  #offer(arrived, chosen) {
    const kept = this.unsent.length > 0 && " What you typed goes along.";
    return h(
      "div",
      { class: "notice arrived", role: "status" },
      h("strong", {}, `Version ${arrived.version} of the plan is there.`),
      h("p", {}, `You see version ${chosen?.version}.`, kept),
      h("div", { class: "row" }, h("button", { type: "button", class: "small primary", id: "show-newest", onclick: () => this.showNewest() }, `Show v${arrived.version}`)),
    );
  }

  #who(person) {
    if (!person.id) return person.name.startsWith("policy:") ? "policy" : person.name;
    return person.id === this.me() ? "you" : h("span", { title: person.email }, person.name);
  }

  #origin(plan) {
    const hash = h("code", { title: plan.hash }, plan.hash.slice(0, 12));
    const by = plan.accepted_by && ["by ", this.#who(plan.accepted_by)];
    const accepted = plan.accepted_at && [" · accepted ", by, " ", time(plan.accepted_at)];
    return ["Hash ", hash, " · made ", time(plan.created_at), accepted];
  }

  #versions(plans, chosen) {
    if (plans.length === 1 && !this.hasOlder) return h("span", { class: "faint" }, STATUS[chosen.status] ?? chosen.status);
    const choose = (plan) => () => {
      this.#choose(plan);
      this.draw();
    };
    return h(
      "div",
      { class: "versions", role: "group", "aria-label": "Versions of the plan" },
      this.hasOlder && h("button", { type: "button", id: "older-versions", onclick: () => this.commands.older() }, "Older versions"),
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
      h("summary", {}, `What became of ${plural(before.feedback.length + (before.feedback_left?.count ?? 0), "comment")} on v${before.version}`),
      h("ul", { class: "comments" }, before.feedback.map((item) => this.#comment(before, item, false, true))),
      this.#more(before),
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
    const who = item.author.id === this.me() ? "You" : this.#who(item.author);
    const where = placed && (item.step ? ` on step ${number(item.step)}` : " on the whole plan");
    const editable = open && !item.answer;
    if (editable && this.#drafts.has(key)) return h("li", {}, this.#editor(key, "Change the comment"));
    return h(
      "li",
      {},
      h("p", { class: "by" }, who, where, " · ", time(item.updated_at, { short: true }), !item.answer && item.updated_at !== item.created_at && " · edited"),
      h("p", { class: "said" }, item.body),
      item.answer && h("p", { class: "answer" }, h("strong", {}, "The agent: "), item.answer),
      editable && h("button", { type: "button", class: "link", id: `open-${key}`, onclick: () => this.#open(key, { plan, step: item.step, item, text: item.body }) }, "Edit"),
      editable && " ",
      editable && h("button", { type: "button", class: "link", id: `withdraw-${item.id}`, onclick: () => this.commands.withdraw(plan, item) }, "Withdraw"),
    );
  }

  #commenter(plan, step, title) {
    const key = `new-${plan.id}-${step ?? "all"}`;
    if (this.#drafts.has(key)) return this.#editor(key, title);
    return h("button", { type: "button", class: "link comment", id: `open-${key}`, "aria-label": title, onclick: () => this.#open(key, { plan, step, item: null, text: "" }) }, step === null ? title : "Comment");
  }

  #open(key, draft) {
    this.#drafts.set(key, draft);
    this.draw();
    document.getElementById(key)?.focus();
  }

  #shut(key) {
    this.#drafts.delete(key);
    this.draw();
    document.getElementById(`open-${key}`)?.focus();
  }

  #editor(key, title) {
    const draft = this.#drafts.get(key);
    const text = h("textarea", {
      id: key,
      rows: 3,
      maxlength: 20000,
      required: true,
      "aria-label": title,
      value: draft.text,
      oninput: () => (draft.text = text.value),
      onkeydown: (event) => {
        if (event.key === "Escape") this.#shut(key);
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      },
    });
    const submit = async (event) => {
      event.preventDefault();
      if (text.value.trim() && (await this.#save(draft))) this.#shut(key);
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
    const left = this.newest?.feedback_left?.open ?? 0;
    return (this.newest?.feedback ?? []).filter((item) => !item.answer).length + left;
  }
}
