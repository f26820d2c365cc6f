// A run's folder read without changing it, also while a coordinator writes it: state, curves,
// weights. It trusts the rows' hashes and signatures (that is `verify`), not the weights: their
// root is checked.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { applyAggregateInto } from "@manyhands/aggregation/close-round";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { assert } from "@manyhands/base/assert";
import { toHex } from "@manyhands/base/bytes";
import { blobRoot } from "@manyhands/base/hash";
import { decodeCheckpoints } from "@manyhands/coordinator/core/checkpoints";
import { rowsOf } from "@manyhands/coordinator/core/ledger";
import { roundRulesOf } from "@manyhands/coordinator/core/rules";
import { CorruptLogError, DamagedBlobError } from "@manyhands/coordinator/errors";
import { type History, historyOf } from "@manyhands/coordinator/history";
import { decodeRow } from "@manyhands/coordinator/log/log";
import { SqliteLogReader } from "@manyhands/coordinator/log/sqlite-log";
import { RunTraffic } from "@manyhands/coordinator/server/traffic";
import { type RunStatus, statusOf } from "@manyhands/coordinator/status";
import { weightsFromBytes } from "@manyhands/engine/checkpoint/weights-bytes";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import { workerIdOf } from "@manyhands/protocol/keys";
import type { RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import { nodeSha256 } from "../run-file/freeze.ts";
import { CommandError } from "../terminal/failure.ts";
import { runPaths } from "./run-folder.ts";

export type ReadRun = {
  readonly folder: string;
  readonly state: RunState;
  readonly history: History;
  readonly status: RunStatus;
  /** The closes, in order: what leads from one state to the next. */
  readonly closes: readonly EventOf<"RoundClosed">[];
  /** Values beside the log: traffic, checkpoints. */
  readonly side: ReadonlyMap<string, string>;
};

/** @throws CorruptLogError */
export function readRun(folder: string): ReadRun {
  const reader = new SqliteLogReader(runPaths(folder).log);
  try {
    const events = readEvents(reader);
    const side = new Map(reader.sideRows().map(({ key, value }) => [key, value]));
    const state = foldEvents(events);
    const history = historyOf(events, {
      nameWorker: (joined) => workerIdOf(joined.join.signingKey),
    });
    const live = {
      heartbeats: new Map(),
      connected: new Set<string>(),
      rejects: new Map(),
      wish: null,
      trouble: null,
    };
    const traffic = new RunTraffic(JSON.parse(side.get("traffic") ?? "null"));
    const status = statusOf(state, history, live, traffic.totals());
    const closes = events.filter((event) => event.type === "RoundClosed");
    return { folder, state, history, status, closes, side };
  } finally {
    reader.close();
  }
}

function readEvents(reader: SqliteLogReader): RunEvent[] {
  return [...rowsOf(reader)].map((row) => {
    const event = decodeRow(row);
    if (!event.ok) throw new CorruptLogError(row.sequence, event.error);
    return event.value;
  });
}

function foldEvents(events: readonly RunEvent[]): RunState {
  let state: RunState | null = null;
  for (const [row, event] of events.entries()) {
    const next = step(state, event, { now: event.tick });
    if (!next.ok) throw new CorruptLogError(row, `${next.error.code}: ${next.error.message}`);
    state = next.value.state;
  }
  if (state) return state;
  throw new CommandError("the log is empty: the run has not begun", {
    hint: "`manyhands run` with its run file begins it.",
  });
}

/**
 * The weights after the newest closed round: from the newest checkpoint, with the aggregates since
 * then.
 *
 * @throws DamagedBlobError if a blob is missing or has other bytes than its name says
 * @throws CommandError     if the weights' root is not the log's
 */
export function readWeights(run: ReadRun): Float32Array {
  const { state, side } = run;
  const checkpoint = decodeCheckpoints(JSON.parse(side.get("checkpoints") ?? "[]")).at(-1);
  if (!checkpoint) {
    throw new CommandError("this run has no stored weights", {
      hint: "`manyhands verify` says what is wrong with its folder.",
    });
  }
  const weights = weightsFromBytes(readBlob(run.folder, checkpoint.weights)).slice();
  const { codec, outer } = roundRulesOf(state.run);
  const { fragments } = state.run;
  for (const { round, aggregate } of run.closes.slice(checkpoint.rounds)) {
    if (!aggregate) continue;
    const bytes = readBlob(run.folder, aggregate.root);
    const applied = applyAggregateInto({ fragments, weights, codec, outer, aggregate: bytes });
    assert(applied.ok, `the aggregate of round ${round} was decoded before it was logged`);
  }
  const root = toHex(weightsRoot(fragments, weights, nodeSha256));
  if (root === state.weightsRoot) return weights;
  throw new CommandError(
    `the stored weights have the root ${root}, the log says ${state.weightsRoot}`,
    {
      hint: "`manyhands verify` names what is damaged.",
    },
  );
}

/** @throws DamagedBlobError */
export function readBlob(folder: string, root: string): Uint8Array {
  const path = join(folder, "blobs", root.slice(0, 2), root.slice(2));
  if (!existsSync(path)) throw new DamagedBlobError(root, "it is not there");
  const bytes = readFileSync(path);
  if (toHex(blobRoot(bytes, nodeSha256)) === root) return bytes;
  throw new DamagedBlobError(root, "its bytes have another hash");
}
