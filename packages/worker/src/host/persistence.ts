// What the worker keeps between processes, as headers and arrays, and what it makes of it at the
// next start. Not the file format: the port RunFiles replaces each file as a whole.

import { f32Bytes } from "@manyhands/aggregation/roots";
import { type Decoder, integer, object } from "@manyhands/base/decode";
import type { Replica } from "../core/replica.ts";
import {
  EMPTY_LEDGER,
  type Ledger,
  ledgerDecoder,
  type StoredUpdate,
  storedUpdateDecoder,
  type WeightsName,
  weightsNameDecoder,
} from "../core/stored.ts";
import type { OptimizerArrays, RunFiles, StateFile } from "./ports.ts";

type Notice = (sentence: string) => void;

export type Restored = {
  readonly weights: WeightsName | null;
  readonly update: StoredUpdate | null;
  readonly ledger: Ledger;
};

/**
 * Reads what an earlier process left and puts the arrays into the replica.
 *
 * The residual's file carries the ledger, so one rename settles an update: a kept update of a round
 * that the ledger counts as settled is out of date, whatever moment the process died at.
 */
export async function restoreRun(
  replica: Replica,
  files: RunFiles,
  notice: Notice,
): Promise<Restored> {
  const ledger = await restoreResidual(replica, files, notice);
  return {
    ledger,
    update: await restoreUpdate({ replica, files, notice }, ledger),
    weights: await restoreWeights(replica, files, notice),
  };
}

async function restoreResidual(replica: Replica, files: RunFiles, notice: Notice): Promise<Ledger> {
  const kept = await readAs(files, "residual", ledgerDecoder, notice);
  if (!kept || kept.payload.length !== replica.elements * 4) return EMPTY_LEDGER;
  replica.setResidual(f32From(kept.payload));
  return kept.header;
}

async function restoreUpdate(
  { replica, files, notice }: { replica: Replica; files: RunFiles; notice: Notice },
  ledger: Ledger,
): Promise<StoredUpdate | null> {
  const kept = await readAs(files, "update", storedUpdateDecoder, notice);
  if (!kept) return null;
  const { round, updateBytes } = kept.header.update;
  const isWhole = kept.payload.length === updateBytes + replica.elements * 4;
  if (!isWhole || round < ledger.settledRounds) {
    await files.remove("update");
    return null;
  }
  replica.setUnsent({
    bytes: kept.payload.slice(0, updateBytes),
    residualAfter: f32From(kept.payload.subarray(updateBytes)),
  });
  return kept.header;
}

async function restoreWeights(
  replica: Replica,
  files: RunFiles,
  notice: Notice,
): Promise<WeightsName | null> {
  const kept = await readAs(files, "weights", weightsNameDecoder, notice);
  if (!kept || kept.payload.length !== replica.elements * 4) return null;
  replica.setWeights(f32From(kept.payload));
  return replica.weightsRoot() === kept.header.weightsRoot ? kept.header : null;
}

export async function writeResidual(
  files: RunFiles,
  replica: Replica,
  ledger: Ledger,
): Promise<void> {
  await files.write("residual", ledger, [f32Bytes(replica.residual)]);
}

const optimizerDecoder = object({
  step: integer(0),
  moment1Count: integer(0),
  moment2Count: integer(0),
});

export async function writeOptimizer(files: RunFiles, state: OptimizerArrays): Promise<void> {
  const { step, moment1, moment2 } = state;
  const header = { step, moment1Count: moment1.length, moment2Count: moment2.length };
  await files.write("optimizer", header, [f32Bytes(moment1), f32Bytes(moment2)]);
}

export async function readOptimizer(
  files: RunFiles,
  notice: Notice,
): Promise<OptimizerArrays | null> {
  const kept = await readAs(files, "optimizer", optimizerDecoder, notice);
  if (!kept) return null;
  const { step, moment1Count, moment2Count } = kept.header;
  if (kept.payload.length !== 4 * (moment1Count + moment2Count)) return null;
  const all = f32From(kept.payload);
  return { step, moment1: all.slice(0, moment1Count), moment2: all.slice(moment1Count) };
}

async function readAs<T>(
  files: RunFiles,
  file: StateFile,
  decoder: Decoder<T>,
  notice: Notice,
): Promise<{ header: T; payload: Uint8Array } | null> {
  const kept = await files.read(file, notice);
  if (!kept) return null;
  const header = decoder(kept.header);
  if (header.ok) return { header: header.value, payload: kept.payload };
  notice(`The kept ${file} has another form than this version writes; starting without it.`);
  return null;
}

/** Little-endian f32 bytes as an array of their own. */
export function f32From(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length / 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(i * 4, true);
  return values;
}
