// Saying something to the task, whatever it is at: never dropped, and the answer tells where it was put.

import { Problem, tasks } from "./api.js";
import { h, show } from "./dom.js";
import { run } from "./notice.js";

const PLACED = {
  prompt: "Added to the prompt.",
  feedback: "Added to the review, as a comment on the whole plan.",
  message: "Said. The agent reads it when it looks for messages.",
  follow_up: "Said. The task goes on: its agent makes another plan of it.",
};

export class SayBox {
  #key = null;

  // onSaid: called once it is recorded.
  constructor(id, onSaid) {
    this.notice = h("div", { class: "notices" });
    this.text = h("input", { id: "say", type: "text", maxlength: 16000, placeholder: "Say something to the agent", "aria-label": "Say something to the agent", autocomplete: "off", oninput: () => (this.#key = null) });
    const send = h("button", { class: "small" }, "Say it");
    const form = h("form", { class: "row say", onsubmit: (event) => (event.preventDefault(), this.#send(id, onSaid, send)) }, this.text, send);
    this.element = h("div", { class: "saying" }, form, this.notice);
  }

  async #send(id, onSaid, button) {
    const body = this.text.value.trim();
    if (!body) return;
    // The same text, sent again because no answer came, is said once.
    this.#key ??= crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    const said = await run(this.notice, () => tasks.say(id, body, this.#key), { buttons: [button] });
    if (!said) return;
    this.#key = null;
    if (this.text.value.trim() === body) this.text.value = "";
    show(this.notice, h("p", { class: "faint", role: "status" }, PLACED[said.placed]));
    await Promise.resolve(onSaid()).catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
    });
  }
}
