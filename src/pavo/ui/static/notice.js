// What people are told: problems with their remedy, and buttons that cannot be pressed twice.

import { Problem } from "./api.js";
import { h, show } from "./dom.js";

export function problemCard(problem, { repeat, dismiss } = {}) {
  const known = problem.code === "OutcomeUnknown";
  return h(
    "div",
    { class: "notice problem", role: "alert" },
    h("strong", {}, problem.title),
    h("p", {}, problem.detail),
    problem.remedy && h("p", { class: "remedy" }, problem.remedy),
    h(
      "div",
      { class: "row" },
      repeat && problem.repeatable && h("button", { type: "button", class: "small", onclick: repeat }, known ? "Repeat it (it happens once)" : "Try again"),
      dismiss && h("button", { type: "button", class: "small quiet", onclick: dismiss }, "Dismiss"),
    ),
  );
}

// Runs a command: its buttons rest meanwhile; a failure shows in `place`, with an offer to repeat where that helps.
export async function run(place, work, { buttons = [] } = {}) {
  if (place.dataset.busy) return undefined;
  place.dataset.busy = "yes";
  for (const button of buttons) button.disabled = true;
  show(place);
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const repeat = () => run(place, work, { buttons });
    show(place, problemCard(problem, { repeat, dismiss: () => show(place) }));
    return undefined;
  } finally {
    delete place.dataset.busy;
    for (const button of buttons) button.disabled = false;
  }
}

// Asks before something that cannot be taken back. Resolves to whether to go on.
export const ask = async (title, text, action) => (await choose(title, text, [["yes", action, "danger"]], "Keep it")) === "yes";

// Asks what to do: `choices` are [answer, words, class]. Resolves to an answer, or to "" where everything is to stay.
export function choose(title, text, choices, stay) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", onclose: () => (dialog.remove(), resolve(dialog.returnValue)) },
      h("h2", { id: "ask-title" }, title),
      h("p", {}, text),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => dialog.close("") }, stay),
        choices.map(([answer, words, kind]) => h("button", { type: "button", class: kind, onclick: () => dialog.close(answer) }, words)),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
