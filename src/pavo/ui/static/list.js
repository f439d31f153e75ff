// The organisation's tasks, newest first, kept fresh while somebody looks.

import { Problem, tasks } from "./api.js";
import { h, show, time } from "./dom.js";
import { problemCard } from "./notice.js";
import { badge } from "./stages.js";

const EVERY = 2000;

export class TaskList {
  #items = [];
  #older = [];
  #cursor = null;
  #timer = 0;
  #chosen = null;

  constructor() {
    this.list = h("ul", {});
    this.notice = h("div", {});
    this.more = h("p", {});
    this.element = h("nav", { class: "list", "aria-label": "Tasks" }, this.notice, this.list, this.more);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  choose(id) {
    this.#chosen = id;
    this.#draw();
  }

  // What the open task's own stream knows is newer than the last look-up.
  know(task) {
    this.#items = this.#items.map((item) => (item.id === task.id ? { ...item, ...task } : item));
    this.#draw();
  }

  forget(id) {
    this.#items = this.#items.filter((item) => item.id !== id);
    this.#older = this.#older.filter((item) => item.id !== id);
    this.#draw();
  }

  async refresh() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    try {
      const page = await tasks.list();
      this.#items = page.items;
      if (!this.#older.length) this.#cursor = page.next_cursor;
      show(this.notice);
      this.#draw();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 401) return;
      show(this.notice, problemCard(problem, {}));
    }
    this.#timer = setTimeout(() => this.refresh(), EVERY);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  async #readOlder() {
    const page = await tasks.list(this.#cursor);
    this.#older.push(...page.items);
    this.#cursor = page.next_cursor;
    this.#draw();
  }

  #draw() {
    const newest = new Set(this.#items.map((item) => item.id));
    const all = [...this.#items, ...this.#older.filter((item) => !newest.has(item.id))];
    show(
      this.list,
      all.map((task) =>
        h(
          "li",
          {},
          h(
            "a",
            { id: `task-${task.id}`, href: `#/tasks/${task.id}`, "aria-current": task.id === this.#chosen ? "page" : null },
            h("span", { class: "title" }, task.title),
            h("span", { class: "row between" }, badge(task), time(task.created_at, { short: true })),
          ),
        ),
      ),
      !all.length && h("li", { class: "empty" }, "No tasks yet."),
    );
    const more = this.#cursor && h("button", { type: "button", class: "link", onclick: () => this.#readOlder() }, "Show older tasks");
    show(this.more, more);
  }
}
