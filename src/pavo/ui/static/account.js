// Who I am: changed by e-mail address in dev mode, by API token in token mode.

import { session } from "./api.js";
import { h } from "./dom.js";
import { run } from "./notice.js";

function form({ name, label, type, about, action, value, onDone, cancel }) {
  const notice = h("div", { class: "notices" });
  const input = h("input", { id: name, name, type, required: true, autocomplete: type === "email" ? "email" : "off", value: value ?? "", "aria-describedby": "about-login" });
  const button = h("button", { class: "primary" }, action);
  const submit = async (event) => {
    event.preventDefault();
    const me = await run(notice, () => session.open({ [name]: input.value.trim() }), { buttons: [button] });
    if (me) onDone(me);
  };
  return h(
    "form",
    { onsubmit: submit },
    h("div", { class: "field" }, h("label", { for: name }, label), input, h("p", { class: "faint", id: "about-login" }, about)),
    notice,
    h("div", { class: "row end" }, cancel, button),
  );
}

export function tokenForm(onDone) {
  return h(
    "section",
    { class: "card login" },
    h("h1", { tabindex: "-1" }, "Log in"),
    form({ name: "token", label: "API token", type: "password", about: "Make one with “pavo token create EMAIL”. It is exchanged for a session of 12 hours and not kept by this page.", action: "Log in", onDone }),
  );
}

function switchUser(me, onDone) {
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel");
  const done = (found) => (dialog.close(), onDone(found));
  const dialog = h(
    "dialog",
    { "aria-labelledby": "who-title", onclose: () => dialog.remove() },
    h("h2", { id: "who-title" }, "Who are you?"),
    form({ name: "email", label: "E-mail address", type: "email", value: me.email, about: "Development mode: any address will do. Each has its own organisation unless it was invited.", action: "Switch", onDone: done, cancel }),
  );
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input").select();
}

export function whoAmI(me, { onChange, onLogout }) {
  if (me.auth === "dev") {
    return h("button", { type: "button", id: "who", class: "quiet", title: "Switch the user", onclick: () => switchUser(me, onChange) }, me.email);
  }
  const leave = async () => {
    await session.close();
    onLogout();
  };
  return [h("span", { id: "who", class: "faint" }, me.email), h("button", { type: "button", class: "quiet", onclick: leave }, "Log out")];
}
