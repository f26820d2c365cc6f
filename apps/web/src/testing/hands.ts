// People and devices for runs that never happened.
import type { Hand } from "./pretend-run.ts";

export const FEW_HANDS: readonly Hand[] = [
  { name: "Ada @Loom", numerics: "ort-cpu", pace: 3 },
  { name: "Grace’s phone @Loom", numerics: "ort-wasm", pace: 1 },
  { name: "Katherine", numerics: "ort-webgpu", pace: 4 },
  { name: "Kitchen tablet", numerics: "ort-wasm", pace: 1 },
  { name: "Emmy @Rings", numerics: "ort-webgpu", pace: 3 },
  { name: "Sofya @Rings", numerics: "ort-cpu", pace: 2 },
  { name: "@Loom", numerics: "ort-wasm", pace: 1 },
  { name: "Old laptop", numerics: "ort-cpu", pace: 1 },
];

const KINDS = ["ort-wasm", "ort-webgpu", "ort-cpu"] as const;

export function manyHands(count: number): readonly Hand[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `Hand ${index + 1}`,
    numerics: KINDS[index % KINDS.length] ?? "ort-cpu",
    pace: 1 + (index % 4),
  }));
}
