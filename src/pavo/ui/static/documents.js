// The open task's documents: read once, and afterwards only what an event says has changed.

import { Problem, tasks } from "./api.js";

// So many comments of one document are rather read with it, at once.
const READ_WHOLE = 20;

const unlessGone = async (work) => {
  try {
    return await work;
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
    return null;
  }
};

export class Documents {
  #all = new Map();
  #older = null;
  #changed = new Set();
  #comments = new Map();

  constructor(taskId) {
    this.taskId = taskId;
  }

  get items() {
    const made = (one) => Date.parse(one.created_at);
    return [...this.#all.values()].sort((one, other) => made(one) - made(other) || one.version - other.version);
  }

  get hasOlder() {
    return this.#older !== null;
  }

  get #plans() {
    return this.items.filter((item) => item.kind === "PLAN");
  }

  // The newest: the report, and the version before the newest plan too, which tells what became of its comments.
  async open() {
    do await this.readOlder();
    while (this.hasOlder && this.#plans.length < 2);
  }

  async readOlder() {
    const page = await tasks.documents(this.taskId, this.#older);
    for (const item of page.items) if (!this.#all.has(item.id)) this.#all.set(item.id, item);
    this.#older = page.before ?? null;
  }

  // The next comments of a document that brought the first of very many.
  async readComments(document) {
    const left = document.feedback_left;
    const page = await tasks.comments(this.taskId, document.id, left.cursor);
    const now = this.#all.get(document.id) ?? document; // it may have been read anew meanwhile
    for (const item of page.items) this.keep(item);
    now.feedback.sort((one, other) => Date.parse(one.created_at) - Date.parse(other.created_at));
    if (now.feedback_left?.cursor !== left.cursor) return;
    const open = page.items.filter((item) => !item.answer).length;
    const rest = { cursor: page.next_cursor, count: Math.max(1, left.count - page.items.length), open: Math.max(0, left.open - open) };
    now.feedback_left = page.next_cursor ? rest : null;
  }

  // Notes what an event changes; answers whether it tells of documents at all.
  take(event) {
    const { type, doc_id: id } = event;
    if (type === "feedback" && event.withdrawn) this.forget(id, event.feedback_id);
    else if (type === "feedback") this.#comments.set(event.feedback_id, id);
    else if (type === "plan") {
      // A revision has answered the comments on the version before it.
      const before = this.#plans.at(-1);
      if (before?.id !== id && before && (before.feedback_left?.open || before.feedback.some((item) => !item.answer))) this.#changed.add(before.id);
      if (!this.#all.has(id)) this.#changed.add(id);
    } else if (type === "report") this.#changed.add(id);
    else if (type === "accepted" && this.#all.has(id)) {
      const by = event.by_user ?? { id: null, email: null, name: event.by };
      Object.assign(this.#all.get(id), { status: "ACCEPTED", accepted_by: by, accepted_at: event.at });
    } else return false;
    return true;
  }

  // Reads what has changed. What cannot be read now is read the next time.
  async read() {
    const several = [...this.#comments];
    const counts = new Map();
    for (const [, id] of several) counts.set(id, (counts.get(id) ?? 0) + 1);
    const whole = new Set([...this.#changed, ...[...counts].filter(([, count]) => count > READ_WHOLE).map(([id]) => id)]);
    const single = several.filter(([, id]) => !whole.has(id) && this.#all.has(id));
    this.#changed.clear();
    this.#comments.clear();
    try {
      await Promise.all([
        ...[...whole].map(async (id) => {
          const found = await unlessGone(tasks.document(this.taskId, id));
          if (!found) return;
          const had = this.#all.get(id)?.feedback.length ?? 0;
          this.#all.set(id, found);
          while (found.feedback_left && found.feedback.length < had) await this.readComments(found);
        }),
        ...single.map(async ([comment, id]) => {
          const found = await unlessGone(tasks.readComment(this.taskId, id, comment));
          if (found) this.keep(found);
          else this.forget(id, comment);
        }),
      ]);
    } catch (problem) {
      whole.forEach((id) => this.#changed.add(id));
      single.forEach(([comment, id]) => this.#comments.set(comment, id));
      throw problem;
    }
  }

  // A comment as it is now.
  keep(comment) {
    const feedback = this.#all.get(comment.document_id)?.feedback;
    if (!feedback) return;
    const at = feedback.findIndex((item) => item.id === comment.id);
    if (at >= 0) feedback[at] = comment;
    else feedback.push(comment);
  }

  forget(id, comment) {
    this.#comments.delete(comment);
    const document = this.#all.get(id);
    if (!document) return;
    const kept = document.feedback.filter((item) => item.id !== comment);
    // One that was not read yet is counted among those that are left.
    if (document.feedback_left && kept.length === document.feedback.length) this.#changed.add(id);
    document.feedback = kept;
  }

  // The task tells which plan is current, and its status; every older one is superseded.
  settle(task) {
    for (const plan of this.#plans) {
      if (plan.id === task.plan?.document_id) plan.status = task.plan.status;
      else if (plan.version < task.plan?.version) plan.status = "LOCKED";
    }
  }
}
