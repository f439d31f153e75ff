// One task: what it is, where it stands, what can be done to it, its plan and its timeline.

import { links, Problem, tasks } from "./api.js";
import { Artifacts } from "./artifacts.js";
import { Documents } from "./documents.js";
import { h, number, show, time } from "./dom.js";
import { inline, markdown } from "./markdown.js";
import { ask, choose, problemCard, run } from "./notice.js";
import { PlanView } from "./plan.js";
import { Questions } from "./questions.js";
import { SayBox } from "./say.js";
import { badge, isActive, percent, recorded, road } from "./stages.js";
import { Stream } from "./stream.js";
import { Timeline } from "./timeline.js";

const READ_AT_ONCE = 2000;
const CHANGES_THE_TASK = new Set(["stage", "plan", "accepted", "report", "failed", "stopped", "message", "edited", "waiting", "retry", "gate_opened", "gate_closed"]);

function parentOf(task) {
  return task.parent_id && [" · ", h("a", { href: `#/tasks/${task.parent_id}` }, "delegated by a task")];
}

export class TaskView {
  #task = null;
  #head = 0;
  #frame = 0;
  #receipt = null;
  #reading = null;
  #again = false;
  #stale = true;
  #closed = false;

  constructor(id, { me, onChange, onGone }) {
    Object.assign(this, { id, onChange, onGone });
    this.head = h("header", { class: "task-head" });
    this.standing = h("div", { class: "standing" });
    this.notice = h("div", { class: "notices" });
    this.state = h("div", { class: "notices" });
    this.actions = h("div", { class: "row actions" });
    this.documents = new Documents(id);
    this.plan = new PlanView(this.#commands(), me, () => this.#task && this.#drawActions());
    this.questions = new Questions(id, () => this.refresh());
    this.say = new SayBox(id, () => this.#said());
    this.artifacts = new Artifacts(id);
    this.timeline = new Timeline();
    this.element = h(
      "article",
      { class: "task", "aria-busy": "true" },
      h("div", { class: "main" }, this.head, this.standing, this.actions, this.notice, this.state, this.questions.element, this.say.element, this.artifacts.element, this.plan.element),
      this.timeline.element,
    );
  }

  async open() {
    try {
      // The timeline's head first: whatever happens after it is told again by the stream, and read again.
      const head = await tasks.events(this.id, 0, 1);
      await this.documents.open();
      await this.read();
      if (this.#closed) return;
      this.artifacts.refresh();
      this.#head = head.last_seq;
      this.#follow(Math.max(0, head.last_seq - READ_AT_ONCE));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      show(this.element, h("div", { class: "main" }, problemCard(problem, { repeat: () => location.reload() })));
    }
    this.element.removeAttribute("aria-busy");
  }

  close() {
    this.#closed = true;
    this.stream?.close();
  }

  #follow(after) {
    this.timeline.startsAt(after, () => {
      this.stream.close();
      const whole = new Timeline();
      this.timeline.element.replaceWith(whole.element);
      this.timeline = whole;
      this.#follow(0);
    });
    this.stream = new Stream(this.id, after, {
      onEvent: (event) => this.#take(event),
      onState: (state) => this.timeline.state(state),
      onDelta: (delta) => this.timeline.said.take(delta),
      onSuperseded: () => this.timeline.said.end(Infinity),
    });
  }

  // A task that was done goes on: its stream had ended.
  #said() {
    if (!this.#closed) this.stream?.goOn();
    return this.refresh();
  }

  #take(event) {
    this.timeline.add(event);
    if (event.type === "stopped") this.#receipt = event.receipt;
    if (event.type === "deleted") this.onGone();
    if (event.type === "artifact_added" && event.seq > this.#head) this.artifacts.refresh();
    if (event.seq <= this.#head) return event.type === "stopped" ? this.#drawState() : undefined;
    this.#head = event.seq;
    if (event.type === "tick" && this.#task) {
      const { progress, step: steps, total = this.#task.total, plan_step = this.#task.plan_step } = event;
      Object.assign(this.#task, { progress, steps, total, plan_step });
      // Hundreds of steps a second are one picture a frame.
      this.#frame ||= requestAnimationFrame(() => this.#drawProgress());
    } else {
      const told = this.documents.take(event);
      const changed = CHANGES_THE_TASK.has(event.type);
      if (told || changed) this.refresh(changed);
    }
    return undefined;
  }

  #drawProgress() {
    this.#frame = 0;
    if (this.#closed) return;
    this.#drawStanding();
    this.onChange(this.#task);
  }

  // One look-up at a time; whatever happens during one asks for exactly one more. Without `task` of documents alone.
  refresh(task = true) {
    this.#stale ||= task;
    if (this.#reading) this.#again = true;
    else {
      this.#reading = this.read()
        .catch((problem) => {
          if (!(problem instanceof Problem)) throw problem;
          if (problem.status === 404) this.onGone();
          else setTimeout(() => this.refresh(false), 1000);
        })
        .finally(() => {
          this.#reading = null;
          if (this.#again) this.refresh(false);
        });
      this.#again = false;
    }
    return this.#reading;
  }

  async read() {
    const wanted = this.#stale;
    this.#stale = false;
    try {
      const [task] = await Promise.all([wanted ? tasks.get(this.id) : this.#task, this.documents.read()]);
      this.#task = wanted ? task : this.#task;
      if (wanted) await this.questions.update(task);
    } catch (problem) {
      this.#stale ||= wanted;
      throw problem;
    }
    if (this.#closed) return;
    this.#show();
    if (wanted) this.onChange(this.#task);
  }

  #show() {
    this.documents.settle(this.#task);
    this.plan.update(this.documents.items, this.#task.stage, this.documents.hasOlder);
    this.#draw();
  }

  #draw() {
    const task = this.#task;
    document.title = `${task.title} · Pavo`;
    show(
      this.head,
      h("h1", { tabindex: "-1" }, task.title),
      h("p", { class: "faint" }, `${task.agent_type} · created `, time(task.created_at), parentOf(task), this.#temporal()),
      task.prompt && h("details", {}, h("summary", {}, "Prompt"), h("div", { class: "prose" }, markdown(task.prompt))),
    );
    this.#drawStanding();
    this.#drawState();
    this.#drawActions();
  }

  #temporal() {
    if (this.address === undefined) {
      this.address = null;
      links().then((found) => ((this.address = found.workflows), this.#closed || this.#draw()), () => {});
    }
    if (!this.address) return null;
    const workflow = `${this.address}/${encodeURIComponent(this.#task.workflow_id)}`;
    return [" · ", h("a", { href: workflow, target: "_blank", rel: "noopener" }, "workflow")];
  }

  #drawStanding() {
    const task = this.#task;
    const part = percent(task);
    const bar = h("div", {
      class: "bar",
      role: "progressbar",
      "aria-label": "Progress",
      "aria-valuenow": part,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    });
    const fill = h("span", {});
    fill.style.width = `${part ?? 0}%`;
    bar.append(fill);
    const moved = task.steps > 0 || task.stage === "EXECUTING";
    show(
      this.standing,
      h("div", { class: "row between" }, badge(task), road(task)),
      moved && h("div", { class: `progress ${task.stage.toLowerCase()}` }, bar, h("p", {}, recorded(task))),
    );
  }

  #drawState() {
    const task = this.#task;
    const receipt = task?.stage === "STOPPED" && this.#receipt;
    show(
      this.state,
      receipt &&
        h(
          "div",
          { class: "notice receipt", role: "status" },
          h("strong", {}, receipt.last_step ? `Stopped. Checkpoint ${number(receipt.last_step)} is the last one recorded.` : "Stopped."),
          h("p", {}, receipt.step_cut ? "The work in hand was cut. " : "", receipt.resume),
        ),
      task?.next_retry_at && isActive(task.stage) && h("div", { class: "notice", role: "status" }, "The agent failed; it is tried again, not before ", time(task.next_retry_at, { short: true }), "."),
      task?.error &&
        task.stage === "FAILED" &&
        h(
          "div",
          { class: "notice problem", role: "status" },
          h("strong", {}, task.error.step ? `Failed at checkpoint ${number(task.error.step)}` : "Failed"),
          h("p", {}, task.error.cause),
          h("p", { class: "remedy" }, inline(task.error.remedy)),
        ),
    );
  }

  #drawActions() {
    const { stage } = this.#task;
    const open = this.plan.openFeedback;
    const button = (id, text, kind, work) =>
      h("button", { type: "button", id, class: kind, onclick: () => this.#do(work) }, text);
    const answer = (id, text, kind, asking) => h("button", { type: "button", id, class: kind, onclick: asking }, text);
    const review = stage === "WAIT_RFC" && this.plan.shown?.status === "REVIEW";
    const elsewhere = stage === "WAIT_RFC" && !review && this.plan.newest;
    show(
      this.actions,
      stage === "INIT" && button("start", "Start planning", "primary", () => tasks.start(this.id)),
      review && open > 0 && answer("done-reviewing", "Done reviewing", "primary", () => this.#doneReviewing()),
      review && open > 0 && answer("accept-all-the-same", "Accept all the same", "", () => this.#override(open)),
      review && open === 0 && answer("accept", "Accept plan", "primary", () => this.#accept()),
      ["STOPPED", "FAILED"].includes(stage) && button("resume", stage === "FAILED" ? "Try again" : "Resume", "primary", () => tasks.resume(this.id)),
      isActive(stage) && button("stop", "Stop", "", () => this.#stop()),
      h("button", { type: "button", id: "delete", class: "quiet", onclick: () => this.#remove() }, "Delete"),
      elsewhere && h("p", { class: "hint" }, `Version ${elsewhere.version} is under review: show it to answer it.`),
      review && h("p", { class: "hint" }, open ? "The agent revises the plan and answers each comment." : "Comment on a step, or accept the plan to run it."),
    );
  }

  async #do(work) {
    const buttons = [...this.actions.querySelectorAll("button")];
    const done = await run(this.notice, async () => (await work(), true), { buttons });
    await this.refresh();
    return done === true;
  }

  // What is answered is the version that is on the page at the click, and no comment that is being typed is lost.
  // Resolves to its hash, or to null where there is nothing to answer yet. `sent`: whether to go on once they are sent.
  async #shownHash(sent) {
    const { hash } = this.plan.shown;
    if (!this.plan.unsent.length) return hash;
    const choices = [["discard", "Discard it", "danger"], ["send", "Send it", "primary"]];
    const what = await choose("You have a comment that is not sent", "Without it the agent will not know of it.", choices, "Go on writing");
    if (what === "discard") this.plan.discardUnsent();
    if (what === "send" && !(await this.plan.sendUnsent())) return null;
    return what === "discard" || (what === "send" && sent) ? hash : null;
  }

  async #accept() {
    const hash = await this.#shownHash(false);
    if (hash) await this.#do(() => tasks.accept(this.id, hash));
  }

  async #override(open) {
    const hash = await this.#shownHash(false);
    if (!hash) return;
    const text = `${open === 1 ? "A comment stays" : `${number(open)} comments stay`} unanswered. The timeline tells so.`;
    if ((await choose("Accept the plan all the same?", text, [["yes", "Accept it", "primary"]], "Go on reviewing")) === "yes") await this.#do(() => tasks.accept(this.id, hash, true));
  }

  async #doneReviewing() {
    const hash = await this.#shownHash(true);
    if (!hash) return;
    await this.#do(async () => {
      const answer = await tasks.doneReviewing(this.id, hash);
      this.plan.followsNewest = answer.outcome === "revising";
    });
  }

  async #stop() {
    const answer = await tasks.stop(this.id);
    // 202: no worker is there yet; the receipt comes with the event.
    if (answer.resume) this.#receipt = answer;
    else show(this.state, h("div", { class: "notice", role: "status" }, answer.detail));
  }

  async #remove() {
    const sure = await ask("Delete this task?", "It is stopped first. Its plan, report and timeline go with it.", "Delete it");
    if (sure && (await run(this.notice, async () => (await tasks.remove(this.id), true)))) this.onGone();
  }

  #commands() {
    // What the answer tells need not be read; after a refusal the task may be another than the one on the page.
    const saved = async (work, keep) => {
      const done = await run(this.notice, async () => (keep(await work()), true));
      if (!done) await this.refresh();
      else if (!this.#closed) this.#show();
      return done === true;
    };
    const keep = (comment) => this.documents.keep(comment);
    return {
      comment: (plan, step, body) => saved(() => tasks.comment(this.id, plan.id, step === null ? { body } : { body, step }), keep),
      withdraw: (plan, item) => saved(() => tasks.withdrawComment(this.id, plan.id, item.id), () => this.documents.forget(plan.id, item.id)),
      edit: (plan, item, body) => saved(() => tasks.editComment(this.id, plan.id, item.id, body), keep),
      moreComments: (plan) => saved(() => this.documents.readComments(plan), () => {}),
      older: () => saved(() => this.documents.readOlder(), () => {}),
    };
  }
}
