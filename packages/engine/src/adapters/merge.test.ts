// Merged matrices are the sum that the papers write, in both layouts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { mergeAdapter } from "./merge.ts";

const [IN, OUT, RANK, SCALE] = [5, 3, 2, 0.7];

function random(size: number, stream: number): Float32Array {
  const source = new Random(3, stream);
  return Float32Array.from({ length: size }, () => 2 * source.unit() - 1);
}

for (const inputMajor of [false, true]) {
  for (const dora of [false, true]) {
    test(`W + s B A (${inputMajor ? "[in, out]" : "[out, in]"}${dora ? ", DoRA" : ""})`, () => {
      const [weight, a, b] = [random(IN * OUT, 0), random(RANK * IN, 1), random(OUT * RANK, 2)];
      const magnitude = dora ? random(OUT, 3).map((x) => x + 2) : undefined;
      const place = { name: "m", inSize: IN, outSize: OUT, inputMajor };
      const merged = weight.slice();
      mergeAdapter(merged, place, { a, b, magnitude, scale: SCALE });
      const at = (o: number, i: number): number => (inputMajor ? i * OUT + o : o * IN + i);
      for (let o = 0; o < OUT; o++) {
        const row = Array.from({ length: IN }, (_, i) => {
          let sum = 0;
          for (let k = 0; k < RANK; k++) sum += (b[o * RANK + k] ?? 0) * (a[k * IN + i] ?? 0);
          return (weight[at(o, i)] ?? 0) + SCALE * sum;
        });
        const norm = Math.hypot(...row);
        const factor = magnitude ? (magnitude[o] ?? 0) / norm : 1;
        for (const [i, value] of row.entries()) {
          assert.ok(Math.abs((merged[at(o, i)] ?? 0) - factor * value) < 1e-6, `${o}, ${i}`);
        }
      }
    });
  }
}
