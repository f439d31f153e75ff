// The HTTP API: JSON in and out; every failure is a Problem with detail and remedy.

export class Problem extends Error {
  constructor(members) {
    super(members.detail ?? members.title);
    this.title = members.title ?? "Something went wrong";
    this.detail = members.detail ?? "";
    this.remedy = members.remedy ?? "";
    this.field = members.field ?? "";
    this.code = members.code ?? "";
    this.status = members.status ?? 0;
  }

  // The server is away or does not know the outcome: every command takes effect once, so repeating is safe.
  get repeatable() {
    return this.status === 0 || this.status >= 502;
  }
}

let onLoggedOut = () => {};

export function whenLoggedOut(listener) {
  onLoggedOut = listener;
}

async function request(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch (cause) {
    throw new Problem({
      title: "Pavo cannot be reached",
      detail: "The API did not answer.",
      remedy: "Nothing is lost: a task goes on without this page. Check with “pavo status”, then try again.",
    });
  }
  if (response.status === 204) return null;
  if (response.status === 304) return last.get(path).content;
  const text = await response.text();
  const content = text && response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : null;
  if (response.ok) {
    if (last.has(path)) last.set(path, { etag: response.headers.get("ETag"), content });
    return content;
  }
  const problem = new Problem({ title: response.statusText, ...content, status: response.status });
  if (problem.status === 401 && !path.startsWith("/api/session")) onLoggedOut();
  throw problem;
}

// What is asked for again and again: the server answers without a body while it is what was answered last.
const last = new Map();
const getIfChanged = (path) => {
  const etag = last.get(path)?.etag;
  if (!last.has(path)) last.set(path, {});
  return request("GET", path, undefined, etag ? { "If-None-Match": etag } : {});
};

const get = (path) => request("GET", path);
const post = (path, body, headers) => request("POST", path, body, headers);
const task = (id, rest = "") => `/api/tasks/${encodeURIComponent(id)}${rest}`;

export const session = {
  get: () => get("/api/session"),
  open: (credentials) => post("/api/session", credentials),
  close: () => request("DELETE", "/api/session"),
};

export const agents = () => get("/api/agents");
export const links = () => get("/ui/links.json");

export const gates = {
  open: (id) => get(`/api/gates?state=open&limit=200&task_id=${encodeURIComponent(id)}`),
  answer: (id, hash, answer, note = "") => post(`/api/gates/${encodeURIComponent(id)}/answer`, { hash, answer, note }),
};

export const tasks = {
  list: (cursor) => (cursor ? get(`/api/tasks?limit=50&cursor=${encodeURIComponent(cursor)}`) : getIfChanged("/api/tasks?limit=50")),
  create: (body, key) => post("/api/tasks", body, { "Idempotency-Key": key }),
  get: (id) => get(task(id)),
  start: (id) => post(task(id, "/start")),
  stop: (id) => post(task(id, "/stop")),
  resume: (id) => post(task(id, "/resume")),
  remove: (id) => request("DELETE", task(id)),
  documents: (id, before) => get(task(id, `/documents${before ? `?before=${encodeURIComponent(before)}` : ""}`)),
  document: (id, document) => get(task(id, `/documents/${document}`)),
  comments: (id, document, cursor) => get(task(id, `/documents/${document}/feedback?cursor=${encodeURIComponent(cursor)}`)),
  events: (id, after, limit) => get(task(id, `/events?after=${after}&limit=${limit}`)),
  streamPath: (id, after) => task(id, `/stream?after=${after}&deltas=true`),
  comment: (id, document, body) => post(task(id, `/documents/${document}/feedback`), body),
  readComment: (id, document, feedback) => get(task(id, `/documents/${document}/feedback/${feedback}`)),
  editComment: (id, document, feedback, body) =>
    request("PATCH", task(id, `/documents/${document}/feedback/${feedback}`), { body }),
  doneReviewing: (id, hash) => post(task(id, "/plan/done-reviewing"), { hash }),
  accept: (id, hash, override = false) => post(task(id, "/plan/accept"), override ? { hash, override_feedback: true } : { hash }),
  withdrawComment: (id, document, feedback) => request("DELETE", task(id, `/documents/${document}/feedback/${feedback}`)),
  artifacts: (id, cursor) => get(task(id, `/artifacts?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`)),
  artifactPath: (id, artifact) => task(id, `/artifacts/${encodeURIComponent(artifact)}`),
  say: (id, body, key) => post(task(id, "/messages"), { body }, { "Idempotency-Key": key }),
};
