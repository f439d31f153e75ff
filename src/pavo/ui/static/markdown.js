// A small Markdown renderer that makes elements, never HTML text. What it does not know stays as it was written.

import { h } from "./dom.js";

const INLINE = /(`[^`]+`)|\*\*(.+?)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/;

export function inline(text) {
  const nodes = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    const [whole, code, strong, emphasis, label, address] = found;
    nodes.push(rest.slice(0, found.index));
    if (code) nodes.push(h("code", {}, code.slice(1, -1)));
    else if (strong) nodes.push(h("strong", {}, inline(strong)));
    else if (emphasis) nodes.push(h("em", {}, inline(emphasis)));
    else nodes.push(h("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, label));
    rest = rest.slice(found.index + whole.length);
  }
  nodes.push(rest);
  return nodes;
}

const BLOCKS = [
  { starts: /^```/, take: fence },
  { starts: /^(#{1,6})\s+(.*)$/, take: heading },
  { starts: /^(-{3,}|\*{3,})\s*$/, take: (lines) => (lines.shift(), h("hr")) },
  { starts: /^\s*[-*+]\s+/, take: (lines) => list("ul", /^\s*[-*+]\s+/, lines) },
  { starts: /^\s*\d+[.)]\s+/, take: (lines) => list("ol", /^\s*\d+[.)]\s+/, lines) },
  { starts: /^>\s?/, take: quote },
];

const blockAt = (line) => BLOCKS.find((block) => block.starts.test(line));

export function markdown(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const nodes = [];
  while (lines.length) {
    if (!lines[0].trim()) lines.shift();
    else nodes.push((blockAt(lines[0])?.take ?? paragraph)(lines));
  }
  return nodes;
}

function fence(lines) {
  lines.shift();
  const end = lines.findIndex((line) => line.startsWith("```"));
  const body = lines.splice(0, end < 0 ? lines.length : end);
  lines.shift();
  return h("pre", {}, h("code", {}, body.join("\n")));
}

function heading(lines) {
  const [, marks, text] = /^(#{1,6})\s+(.*)$/.exec(lines.shift());
  // The page's own headings end at level 2, so that a document's outline hangs below them.
  return h(`h${Math.min(marks.length + 2, 6)}`, {}, inline(text));
}

function list(tag, marker, lines) {
  const start = tag === "ol" ? parseInt(lines[0].trim(), 10) : null;
  const items = [];
  while (lines.length && lines[0].trim()) {
    if (marker.test(lines[0])) items.push([lines.shift().replace(marker, "")]);
    else if (/^\s+/.test(lines[0])) items.at(-1).push(lines.shift().trim());
    else break;
  }
  return h(tag, { start: start > 1 ? start : null }, items.map((item) => h("li", {}, broken(item))));
}

function quote(lines) {
  const inner = [];
  while (lines.length && lines[0].startsWith(">")) inner.push(lines.shift().replace(/^>\s?/, ""));
  return h("blockquote", {}, markdown(inner.join("\n")));
}

function paragraph(lines) {
  const inner = [lines.shift()];
  while (lines.length && lines[0].trim() && !blockAt(lines[0])) inner.push(lines.shift());
  return h("p", {}, broken(inner));
}

const broken = (lines) => lines.map((line, index) => [index ? h("br") : null, inline(line)]);
