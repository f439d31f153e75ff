// The session of this page: asks who is there, and asks again when that changes.

import { tokenForm, whoAmI } from "./account.js";
import { Problem, session, whenLoggedOut } from "./api.js";
import { h, show } from "./dom.js";
import { problemCard } from "./notice.js";

const who = document.getElementById("account");

class Account {
  me = null;

  async start(listener) {
    this.listener = listener;
    whenLoggedOut(() => this.#leave());
    try {
      this.#enter(await session.get());
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 401) this.#leave();
      else listener.onLeave(h("section", { class: "welcome" }, problemCard(problem, { repeat: () => this.start(listener) })));
    }
  }

  #enter(me) {
    const changed = this.me && this.me.user_id !== me.user_id;
    this.me = me;
    // The open task belongs to somebody else's organisation, most likely.
    if (changed) history.replaceState(null, "", "#/");
    show(who, whoAmI(me, { onChange: (found) => this.#enter(found), onLogout: () => this.#leave() }));
    this.listener.onEnter();
  }

  #leave() {
    this.me = null;
    show(who);
    this.listener.onLeave(tokenForm((me) => this.#enter(me)));
    document.getElementById("token").focus();
  }
}

export const account = new Account();
