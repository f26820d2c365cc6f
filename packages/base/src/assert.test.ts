// assert, defined, unreachable, Result and operating errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError, defined, assert as must, unreachable } from "./assert.ts";
import { InputError, ManyhandsError, messageOf } from "./errors.ts";
import { err, ok, type Result } from "./result.ts";

test("assert passes on what holds and throws its sentence on what does not", () => {
  must(1, "never seen");
  for (const value of [false, 0, "", null, undefined]) {
    assert.throws(() => must(value, "round 3 is open"), new AssertionError("round 3 is open"));
  }
});

test("defined keeps false, zero and the empty text; it throws on null and undefined", () => {
  for (const value of [false, 0, "", Number.NaN]) assert.equal(defined(value, "there"), value);
  assert.throws(() => defined(undefined, "a worker"), { name: "AssertionError" });
  assert.throws(() => defined(null, "a worker"), { message: "a worker" });
});

test("unreachable names the value that the compiler thought impossible", () => {
  assert.throws(() => unreachable("cooldown" as never), { message: "unreachable value: cooldown" });
});

test("a result is narrowed by ok", () => {
  const half = (n: number): Result<number, "odd"> => (n % 2 === 0 ? ok(n / 2) : err("odd"));
  assert.deepEqual(half(4), { ok: true, value: 2 });
  assert.deepEqual(half(3), { ok: false, error: "odd" });
});

test("an operating error keeps name, cause and hint; a hint that is not given is undefined", () => {
  const cause = new AssertionError("x");
  const error = new InputError("no such file", { cause, hint: "check the path" });
  assert(error instanceof ManyhandsError);
  assert(error instanceof Error);
  assert.deepEqual([error.name, error.cause, error.hint], ["InputError", cause, "check the path"]);
  assert.equal(new InputError("x").hint, undefined);
  assert.equal("cause" in new InputError("x"), false);
});

test("messageOf reads errors and anything else that was thrown", () => {
  assert.equal(messageOf(new InputError("no such file")), "no such file");
  assert.equal(messageOf("text"), "text");
  assert.equal(messageOf(undefined), "undefined");
});
