// Builds elements. Text only ever becomes text nodes: nothing that a server sends is parsed as HTML.

export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

// Replaces what a place shows, and keeps the focus where the same control is still there (by id).
export function show(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const selection = focused && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  place.replaceChildren();
  append(place, children);
  if (!focused?.id) return;
  const again = document.getElementById(focused.id);
  if (!again || !place.contains(again)) return;
  again.focus({ preventScroll: true });
  if (selection && selection[0] !== null) again.setSelectionRange(...selection);
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function time(iso, { short = false } = {}) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const text = short ? (today ? clock.format(at) : day.format(at)) : full.format(at);
  return h("time", { datetime: iso, title: full.format(at) }, text);
}

export const number = (value) => new Intl.NumberFormat().format(value);
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
