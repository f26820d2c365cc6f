// The run's weights after any of its rounds: from the nearest stored state, then by the aggregates
// since, as every worker follows them; and the root at the end is compared with the log's.
import { applyAggregateInto } from "@manyhands/aggregation/close-round";
import { elementCount } from "@manyhands/aggregation/fragments";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import type { ClosedRound } from "@manyhands/protocol/messages";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { askJson } from "../feed/http.ts";
import { fetchBlob } from "./blobs.ts";
import type { Loading } from "./model-news.ts";

type StoredState = {
  readonly rounds: number;
  readonly root: string;
  readonly byteLength: number;
};

export type WeightsQuestion = {
  readonly runId: string;
  readonly token: string;
  readonly run: FrozenRun;
  /** Null for the newest. */
  readonly rounds: number | null;
  readonly onLoading: (loading: Loading) => void;
};

export type WeightsAfter = { readonly rounds: number; readonly weights: Float32Array };

const ROUNDS_PER_QUESTION = 1_024;

export async function weightsAfter(
  question: WeightsQuestion,
): Promise<Result<WeightsAfter, string>> {
  const { runId, token, rounds } = question;
  const states = await askJson<readonly StoredState[]>(`/runs/${runId}/checkpoints`, { token });
  if (!states.ok) return err(states.error.message);
  const before = states.value.filter((state) => rounds === null || state.rounds <= rounds).at(-1);
  if (!before) return err("no weights are stored yet");
  const closed = await roundsFrom(question, before.rounds);
  if (!closed.ok) return closed;
  const weights = await storedWeights(question, before);
  if (!weights.ok) return weights;
  return follow(question, { weights: weights.value, from: before.rounds, closed: closed.value });
}

/** Closed rounds from one on, as far as the question needs them. */
async function roundsFrom(
  { runId, token, rounds }: WeightsQuestion,
  from: number,
): Promise<Result<readonly ClosedRound[], string>> {
  const found: ClosedRound[] = [];
  const wanted = rounds === null ? Number.MAX_SAFE_INTEGER : rounds - from;
  while (found.length < wanted) {
    const limit = Math.min(ROUNDS_PER_QUESTION, wanted - found.length);
    const path = `/runs/${runId}/rounds?from=${from + found.length}&limit=${limit}`;
    const part = await askJson<readonly ClosedRound[]>(path, { token });
    if (!part.ok) return err(part.error.message);
    found.push(...part.value);
    if (part.value.length < limit) break;
  }
  return ok(found);
}

async function storedWeights(
  { runId, token, run, onLoading }: WeightsQuestion,
  { root, byteLength }: StoredState,
): Promise<Result<Float32Array, string>> {
  const bytes = await fetchBlob({ runId, token, root, byteLength }, (done, total) =>
    onLoading({ what: "weights", done, total }),
  );
  if (!bytes.ok) return bytes;
  if (bytes.value.length !== elementCount(run.fragments) * 4) {
    return err("the stored weights have another size than the model");
  }
  const view = new DataView(bytes.value.buffer);
  const weights = new Float32Array(bytes.value.length / 4);
  for (let i = 0; i < weights.length; i++) weights[i] = view.getFloat32(i * 4, true);
  return ok(weights);
}

type Following = {
  readonly weights: Float32Array;
  readonly from: number;
  readonly closed: readonly ClosedRound[];
};

async function follow(
  { runId, token, run, onLoading }: WeightsQuestion,
  { weights, from, closed }: Following,
): Promise<Result<WeightsAfter, string>> {
  const { fragments, recipe } = run;
  const outer = { ...recipe.outer, nesterov: false };
  for (const [index, { aggregate }] of closed.entries()) {
    onLoading({ what: "rounds", done: index, total: closed.length });
    if (aggregate === null) continue;
    const bytes = await fetchBlob({ runId, token, ...aggregate }, () => undefined);
    if (!bytes.ok) return bytes;
    const { codec } = recipe;
    const applied = applyAggregateInto({
      fragments,
      weights,
      codec,
      outer,
      aggregate: bytes.value,
    });
    if (!applied.ok) return err(`round ${from + index} could not be followed`);
  }
  const last = closed.at(-1);
  const expected = last ? last.weightsRoot : from === 0 ? run.initialWeightsRoot : null;
  const found = toHex(weightsRoot(fragments, weights, sha256));
  if (expected !== null && found !== expected) {
    return err("the weights came out different from those that the log names");
  }
  return ok({ rounds: from + closed.length, weights });
}
