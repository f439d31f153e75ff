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
  #rows = new Map();
  #read = false;

  constructor() {
    this.list = h("ul", {});
    this.empty = h("li", { class: "empty" }, "No tasks yet.");
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
      this.#read = true;
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

  // A row stays the element that it is while its task moves on: a click that begins on it also ends on it.
  #row(task) {
    const row = this.#rows.get(task.id) ?? this.#newRow(task.id);
    row.link.toggleAttribute("aria-current", false);
    if (task.id === this.#chosen) row.link.setAttribute("aria-current", "page");
    const shown = JSON.stringify([task.title, task.stage, task.stage_status, task.progress, task.total]);
    if (row.shown !== shown) {
      row.shown = shown;
      show(row.title, task.title);
      show(row.state, badge(task), time(task.created_at, { short: true }));
    }
    return row.element;
  }

  #newRow(id) {
    const title = h("span", { class: "title" });
    const state = h("span", { class: "row between" });
    const link = h("a", { id: `task-${id}`, href: `#/tasks/${id}` }, title, state);
    const row = { title, state, link, element: h("li", {}, link), shown: null };
    this.#rows.set(id, row);
    return row;
  }

  #draw() {
    const newest = new Set(this.#items.map((item) => item.id));
    const all = [...this.#items, ...this.#older.filter((item) => !newest.has(item.id))];
    const there = new Set(all.map((task) => task.id));
    for (const id of this.#rows.keys()) if (!there.has(id)) this.#rows.delete(id);
    const wanted = all.length ? all.map((task) => this.#row(task)) : this.#read ? [this.empty] : [];
    for (const element of [...this.list.children]) if (!wanted.includes(element)) element.remove();
    wanted.forEach((element, index) => {
      const there = this.list.children[index];
      if (there !== element) this.list.insertBefore(element, there ?? null);
    });
    const more = this.#cursor && h("button", { type: "button", class: "link", onclick: () => this.#readOlder() }, "Show older tasks");
    if (Boolean(more) !== this.more.childElementCount > 0) show(this.more, more);
  }
}
