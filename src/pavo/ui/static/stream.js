// A task's timeline as it happens. The browser repeats Last-Event-ID by itself; this adds what EventSource leaves out:
// it gives up at an error status, and it cannot tell the end of a task from a server that is away.

import { Problem, tasks } from "./api.js";

const MAX_WAIT = 8000;

export class Stream {
  #source = null;
  #timer = 0;
  #wait = 250;
  #over = false;
  #atEnd = false;

  constructor(taskId, after, { onEvent, onState, onDelta, onSuperseded }) {
    this.taskId = taskId;
    this.last = after;
    this.onEvent = onEvent;
    this.onState = onState;
    this.onDelta = onDelta;
    this.onSuperseded = onSuperseded;
    // Browsers open six connections to a server at most: tabs that nobody looks at give theirs back.
    this.onVisible = () => (document.hidden ? this.#pause() : this.#open());
    document.addEventListener("visibilitychange", this.onVisible);
    this.#open();
  }

  close() {
    this.#over = true;
    document.removeEventListener("visibilitychange", this.onVisible);
    this.#pause();
  }

  // After its end: something follows after all.
  goOn() {
    if (!this.#over) return;
    this.#over = this.#atEnd = false;
    document.addEventListener("visibilitychange", this.onVisible);
    this.#open();
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    if (this.#over || this.#source) return;
    clearTimeout(this.#timer);
    const source = new EventSource(tasks.streamPath(this.taskId, this.last));
    this.#source = source;
    source.onopen = () => {
      this.#wait = 250;
      this.onSuperseded(); // of what goes on all is told again
      this.onState("live");
    };
    source.onmessage = (message) => this.#take(JSON.parse(message.data));
    source.addEventListener("delta", (message) => this.onDelta(JSON.parse(message.data)));
    source.addEventListener("superseded", (message) => this.onSuperseded(JSON.parse(message.data)));
    source.onerror = () => {
      if (this.#source !== source) return;
      // After the last event the browser would connect once more to hear that nothing follows.
      if (source.readyState === EventSource.CLOSED || this.#atEnd) this.#look();
      else this.onState("reconnecting");
    };
  }

  #take(event) {
    if (event.seq <= this.last) return;
    this.last = event.seq;
    this.#atEnd = event.type === "deleted" || (event.type === "stage" && event.stage === "DONE");
    this.onEvent(event);
  }

  async #look() {
    this.#pause();
    try {
      const page = await tasks.events(this.taskId, this.last, 1);
      if (page.closed && page.last_seq <= this.last) return this.#end();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) return this.#end();
    }
    if (this.#over) return;
    this.onState("reconnecting");
    this.#timer = setTimeout(() => this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, MAX_WAIT);
  }

  #end() {
    const told = this.#over;
    this.close();
    if (!told) this.onState("ended");
  }
}
