// Reverse-mode differentiation: IR in, IR out. It deliberately has no tape and no numbers.
import { assert } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import {
  type Op,
  sameShape,
  shapeText,
  sizeOf,
  type Tensor,
  topologicalOrder,
} from "../ir/tensor.ts";
import { RULES } from "./rules.ts";

/**
 * The gradients of a scalar with respect to some nodes, in their order.
 *
 * @param loss one element, f32
 * @param wrt  nodes that the loss depends on (a node that it does not reach gets zeros)
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): readonly Tensor[] {
  assert(sizeOf(loss.shape) === 1, `a loss has one element, found ${shapeText(loss.shape)}`);
  const seed = ir.constant(Float32Array.of(1), loss.shape);
  const order = topologicalOrder([loss]);
  const needed = reaching(order, new Set(wrt));
  const contributions = new Map<Tensor, Tensor[]>([[loss, [seed]]]);
  const targets = new Set(wrt);
  const results = new Map<Tensor, Tensor>();
  for (const y of order.toReversed()) {
    const parts = contributions.get(y);
    if (parts === undefined || !needed.has(y)) continue;
    contributions.delete(y);
    const dy = sumOf(parts);
    if (targets.has(y)) results.set(y, dy);
    applyRule(y, dy).forEach((dx, index) => {
      const x = y.inputs[index];
      if (dx === undefined || x === undefined || !needed.has(x)) return;
      assert(sameShape(dx.shape, x.shape), `${y.op.kind}'s gradient ${index} has a wrong shape`);
      contributions.set(x, [...(contributions.get(x) ?? []), dx]);
    });
  }
  return wrt.map((x) => results.get(x) ?? ir.expand(ir.scalar(0), x.shape));
}

/** The nodes through which the targets reach the loss: the others need no gradient. */
function reaching(order: readonly Tensor[], targets: ReadonlySet<Tensor>): ReadonlySet<Tensor> {
  const needed = new Set<Tensor>();
  for (const y of order) {
    if (targets.has(y) || y.inputs.some((x) => needed.has(x))) needed.add(y);
  }
  return needed;
}

function applyRule(y: Tensor, dy: Tensor): readonly (Tensor | undefined)[] {
  // The table's type ties every rule to its own op; only the lookup by a union key loses that tie.
  const rule = RULES[y.op.kind] as (
    op: Op,
    y: Tensor,
    dy: Tensor,
  ) => readonly (Tensor | undefined)[];
  return rule(y.op, y, dy);
}

/** The sum; slices that tile their source side by side become one concat instead of padded sums. */
function sumOf(parts: readonly Tensor[]): Tensor {
  return (
    tiled(parts) ?? parts.slice(1).reduce((sum, part) => ir.add(sum, part), parts[0] as Tensor)
  );
}

function tiled(parts: readonly Tensor[]): Tensor | undefined {
  const pieces = parts.flatMap((part) => {
    const source = part.inputs[0];
    return part.op.kind === "pad" && source ? [{ op: part.op, source }] : [];
  });
  const first = pieces[0];
  if (first === undefined || pieces.length !== parts.length || parts.length < 2) return undefined;
  if (pieces.some((piece) => piece.op.axis !== first.op.axis)) return undefined;
  const sorted = pieces.toSorted((a, b) => a.op.before - b.op.before);
  let end = 0;
  for (const { op, source } of sorted) {
    if (op.before !== end) return undefined;
    end += source.shape[op.axis] ?? 0;
  }
  if (end !== parts[0]?.shape[first.op.axis]) return undefined;
  return ir.concat(
    sorted.map((piece) => piece.source),
    first.op.axis,
  );
}
