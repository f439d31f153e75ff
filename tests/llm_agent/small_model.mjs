// A real small model behind the API that OpenAI's has: answers as text, as JSON of a schema, or as a call of a tool.
//
//     node small_model.mjs ENGINE_FOLDER WEIGHTS TOOL
//
// It is too small to choose whether to call a tool: while none has answered, its grammar lets it write nothing but
// arguments of TOOL. Whatever it writes is its own; texts and lists are kept short. The port is the first line printed.
import { createRequire } from "node:module";
import http from "node:http";
import { pathToFileURL } from "node:url";

const [folder, weights, tool] = process.argv.slice(2);
const found = createRequire(`${folder}/`).resolve("node-llama-cpp");
const { getLlama, LlamaChatSession } = await import(pathToFileURL(found).href);

const llama = await getLlama({ gpu: false, build: "never", maxThreads: 2, logLevel: "error" });
const model = await llama.loadModel({ modelPath: weights });
const context = await model.createContext({ contextSize: 8192, threads: 2 });
const sequence = context.getSequence();

const KEPT = ["type", "enum", "const", "minItems", "maxItems", "minLength"];

/** The part of JSON Schema that grammars are made of. */
function plain(schema, named) {
  if (schema.$ref) return plain(named[schema.$ref.split("/").pop()], named);
  if (schema.anyOf) return plain(schema.anyOf[0], named);
  const made = Object.fromEntries(KEPT.filter((key) => key in schema).map((key) => [key, schema[key]]));
  if (Array.isArray(made.type)) made.type = made.type[0];
  if (schema.properties) {
    made.type = "object";
    made.properties = Object.fromEntries(Object.entries(schema.properties).map(([key, each]) => [key, plain(each, named)]));
  }
  if (schema.items) made.items = plain(schema.items, named);
  if (made.type === "array") Object.assign(made, { minItems: Math.max(1, made.minItems ?? 1), maxItems: Math.max(2, made.minItems ?? 1) });
  if (made.type === "string" && !made.enum && !made.const) Object.assign(made, { minLength: 3, maxLength: 60 });
  return made;
}

const text = (message) => (typeof message.content === "string" ? message.content : "");

/** A message as the engine's history has it. */
function turn(message) {
  if (message.role === "assistant") return { type: "model", response: [text(message) || "I call a tool."] };
  return { type: "user", text: message.role === "tool" ? `The tool answers: ${text(message)}` : text(message) };
}

async function answer(body) {
  const offered = (body.tools ?? []).find((each) => each.function.name === tool);
  const calls = offered && !body.messages.some((each) => each.role === "tool");
  const schema = calls ? offered.function.parameters : body.response_format?.json_schema?.schema;
  const grammar = schema && (await llama.createGrammarForJsonSchema(plain(schema, schema.$defs ?? {})));
  const system = body.messages.filter((each) => each.role === "system").map(text).join("\n");
  const turns = body.messages.filter((each) => each.role !== "system").map(turn);

  await sequence.clearHistory();
  const before = sequence.tokenMeter.getState();
  const session = new LlamaChatSession({ contextSequence: sequence, systemPrompt: system, autoDisposeSequence: false });
  const last = turns.pop().text;
  session.setChatHistory([...session.getChatHistory(), ...turns]);
  const options = { maxTokens: 400, temperature: 0.4, seed: 7, repeatPenalty: { penalty: 1.25, lastTokens: 48 } };
  const written = await session.prompt(last, { ...options, grammar });
  session.dispose({ disposeSequence: false });

  const used = sequence.tokenMeter.diff(before);
  const usage = { prompt_tokens: used.usedInputTokens, completion_tokens: used.usedOutputTokens };
  const call = { index: 0, id: `call_${body.messages.length}`, type: "function", function: { name: tool, arguments: written } };
  const delta = calls ? { role: "assistant", tool_calls: [call] } : { role: "assistant", content: written };
  return { delta, reason: calls ? "tool_calls" : "stop", usage };
}

function send(response, { delta, reason, usage }) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const choices = [{ index: 0, delta, finish_reason: reason }];
  const chunk = { id: "small", object: "chat.completion.chunk", created: 1, model: "small", choices, usage };
  response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
}

let others = Promise.resolve(); // one at a time: there is one sequence
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    others = others
      .then(async () => send(response, await answer(JSON.parse(Buffer.concat(parts).toString()))))
      .catch((error) => {
        console.error(error);
        response.writeHead(500, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { message: String(error) } }));
      });
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
