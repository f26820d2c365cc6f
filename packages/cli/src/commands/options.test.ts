import assert from "node:assert/strict";
import { test } from "node:test";
import { memorySize } from "./options.ts";

test("sizes as people write them", () => {
  const table: readonly (readonly [string, number])[] = [
    ["800MB", 800e6],
    ["800m", 800e6],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["2G", 2e9],
    ["64Ki", 65_536],
    ["123456789", 123_456_789],
    ["12 B", 12],
  ];
  for (const [text, bytes] of table) assert.equal(memorySize(text), bytes, text);
  for (const text of ["", "MB", "-1GB", "0", "1.2.3G", "1XB", "2 G B", "1e9", "9999999TB"]) {
    assert.throws(() => memorySize(text), /Expected a size/, text);
  }
});
