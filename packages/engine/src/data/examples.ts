// What a line of a data file teaches: a text, a conversation, or a completion of a prompt.
// It reads no files (node-examples.ts does) and makes no tokens (text-data.ts does).
import { describe } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import type { ChatMessage, Conversation } from "../tokenizer/chat-template.ts";

export type Example =
  /** continues: a further part of the document before, which was too long to hold at once. */
  | { readonly kind: "text"; readonly text: string; readonly continues?: boolean }
  | { readonly kind: "chat"; readonly conversation: Conversation }
  | { readonly kind: "completion"; readonly prompt: string; readonly completion: string };

/** A line that teaches nothing, by its number (from 1), and why. */
export type BadLine = { readonly file: string; readonly line: number; readonly reason: string };

export type ReadExample = {
  readonly file: string;
  /** From 1; of a text file, the line where the part begins. */
  readonly line: number;
  readonly example: Result<Example, string>;
};

type Json = { readonly [member: string]: unknown };

/** One line of a .jsonl file. Further members than those that make the example are ignored. */
export function parseExample(line: string): Result<Example, string> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (caught) {
    return err(`is no JSON: ${messageOf(caught).slice(0, 200)}`);
  }
  if (!isRecord(value)) return err(`is ${describe(value)}, not an object`);
  if ("messages" in value) return chat(value["messages"], value["tools"]);
  if ("prompt" in value || "completion" in value) return completion(value);
  if ("text" in value) return text(value["text"]);
  const names = Object.keys(value).slice(0, 8).map(describe).join(", ");
  return err(`has no "messages", no "text", no "prompt" with "completion", only ${names || "{}"}`);
}

function text(value: unknown): Result<Example, string> {
  if (typeof value !== "string") return err(`"text" is ${describe(value)}, not text`);
  return value === "" ? err(`"text" is empty`) : ok({ kind: "text", text: value });
}

function completion(value: Json): Result<Example, string> {
  const { prompt, completion } = value;
  // As TRL has it, both may be parts of a conversation.
  if (Array.isArray(prompt) && Array.isArray(completion)) {
    return chat([...prompt, ...completion], value["tools"]);
  }
  for (const [name, part] of Object.entries({ prompt, completion })) {
    if (typeof part !== "string") return err(`"${name}" is ${describe(part)}, not text`);
  }
  if (completion === "") return err(`"completion" is empty`);
  return ok({ kind: "completion", prompt: String(prompt), completion: String(completion) });
}

function chat(value: unknown, tools: unknown): Result<Example, string> {
  if (!Array.isArray(value)) return err(`"messages" is ${describe(value)}, not a list`);
  if (value.length === 0) return err(`"messages" is empty`);
  const messages: ChatMessage[] = [];
  for (const [i, each] of value.entries()) {
    const message = chatMessage(each);
    if (!message.ok) return err(`message ${i + 1} ${message.error}`);
    messages.push(message.value);
  }
  const given = Array.isArray(tools) ? { tools } : {};
  return ok({ kind: "chat", conversation: { messages, ...given } });
}

function chatMessage(value: unknown): Result<ChatMessage, string> {
  if (!isRecord(value)) return err(`is ${describe(value)}, not an object`);
  const { role, content } = value;
  if (typeof role !== "string" || role === "") return err(`has no "role"`);
  const calls = Array.isArray(value["tool_calls"]);
  const sound = typeof content === "string" || Array.isArray(content) || calls;
  if (!sound) return err(`has ${describe(content)} as "content", not text`);
  return ok({ ...value, role, content: content ?? "" });
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
