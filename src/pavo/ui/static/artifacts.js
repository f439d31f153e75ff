// The files that a task keeps: a list of links, which the browser saves.

import { Problem, tasks } from "./api.js";
import { h, number, show } from "./dom.js";

const PAGES = 10;

export class Artifacts {
  #reading = false;
  #again = false;

  constructor(id) {
    this.id = id;
    this.element = h("details", { class: "artifacts", hidden: true });
  }

  // One look-up at a time; whatever is added meanwhile asks for exactly one more.
  async refresh() {
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#again) {
        this.#again = false;
        this.#show(await this.#read());
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem; // what is shown stays, until the next is added
    } finally {
      this.#reading = false;
    }
  }

  async #read() {
    const items = [];
    let cursor = null;
    for (let page = 0; page < PAGES; page += 1) {
      const found = await tasks.artifacts(this.id, cursor);
      items.push(...found.items);
      cursor = found.next_cursor;
      if (!cursor) break;
    }
    return items;
  }

  #show(items) {
    this.element.hidden = !items.length;
    const link = (item) =>
      h("li", {}, h("a", { href: tasks.artifactPath(this.id, item.id), download: "" }, item.name), h("span", { class: "faint" }, ` ${number(item.bytes)} bytes`));
    show(this.element, h("summary", {}, `Artifacts (${number(items.length)})`), h("ul", {}, items.map(link)));
  }
}
