// The page: who is there, which view is open.

import { account } from "./session.js";
import { CreateView } from "./create.js";
import { h, show } from "./dom.js";
import { TaskList } from "./list.js";
import { TaskView } from "./task.js";

const main = document.getElementById("main");
const side = document.getElementById("side");
const list = new TaskList();
let view = null;

function welcome() {
  return h(
    "section",
    { class: "welcome" },
    h("h1", { tabindex: "-1" }, "Tasks that survive anything"),
    h("p", {}, "Give an agent a task. It plans; you comment and accept; it works the plan off. Kill any process meanwhile: the task goes on from the last checkpoint."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "New task")),
  );
}

function route() {
  const [, place, id] = location.hash.split("/");
  if (place === "tasks" && id) return new TaskView(id, { me: () => account.me?.user_id, onChange: (task) => list.know(task), onGone: () => gone(id) });
  if (place === "new") return new CreateView({ onCreated: (task) => (list.refresh(), (location.hash = `#/tasks/${task.id}`)) });
  return null;
}

function gone(id) {
  list.forget(id);
  list.refresh();
  if (location.hash.endsWith(id)) location.hash = "#/";
}

function open() {
  view?.close();
  document.title = "Pavo";
  view = route();
  document.body.classList.toggle("chosen", view !== null);
  list.choose(view?.id ?? null);
  show(main, view?.element ?? welcome());
  view?.open();
}

// Another view was asked for: where it begins is where a keyboard or a screen reader should go on.
function moved() {
  if (!account.me) return;
  open();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

account.start({
  onEnter() {
    show(side, h("a", { class: "button primary new", href: "#/new" }, "New task"), list.element);
    list.refresh();
    open();
  },
  onLeave(login) {
    view?.close();
    view = null;
    list.stop();
    show(side);
    show(main, login);
  },
});
addEventListener("hashchange", moved);
