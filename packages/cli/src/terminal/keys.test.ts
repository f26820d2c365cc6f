// Keys in raw mode: letters are heard, Ctrl-C and Ctrl-Z stay what they are, and the terminal is
// given back as it was.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { type KeyInput, watchKeys } from "./keys.ts";

class FakeTerminal extends EventEmitter implements KeyInput {
  isTTY = true;
  readonly calls: string[] = [];
  setRawMode(raw: boolean): void {
    this.calls.push(raw ? "raw" : "cooked");
  }
  setEncoding(): void {
    this.calls.push("utf8");
  }
  resume(): void {
    this.calls.push("resume");
  }
  pause(): void {
    this.calls.push("pause");
  }
}

test("a key is heard once; signals go to the whole group; a stop leaves raw mode", () => {
  const terminal = new FakeTerminal();
  const heard: string[] = [];
  const sent: string[] = [];
  let continued = (): void => undefined;
  const release = watchKeys(terminal, (key) => heard.push(key), {
    send: (target, signal) => sent.push(`${signal} ${target}`),
    onContinue: (listener) => {
      continued = listener;
      return () => terminal.calls.push("forgotten");
    },
  });
  terminal.emit("data", "pq");
  terminal.emit("data", "\u0003");
  terminal.emit("data", "\u001a");
  continued();
  assert.deepEqual(heard, ["p", "q"]);
  assert.deepEqual(sent, ["SIGINT 0", "SIGTSTP 0"]);
  release();
  terminal.emit("data", "p");
  assert.deepEqual(heard, ["p", "q"]);
  assert.deepEqual(terminal.calls, [
    ...["utf8", "raw", "resume"],
    ...["cooked", "raw"],
    ...["forgotten", "cooked", "pause"],
  ]);
});

test("where there is no terminal nothing is touched", () => {
  const pipe = new FakeTerminal();
  pipe.isTTY = false;
  watchKeys(pipe, () => assert.fail())();
  watchKeys(undefined, () => assert.fail())();
  assert.deepEqual(pipe.calls, []);
});
