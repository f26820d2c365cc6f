// Verification of a run folder: the whole log replayed, every signature, every blob, every round
// computed again. Reads only. It names every problem with its place, and stops early only where it
// cannot go on.
import { existsSync, readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { messageOf } from "@manyhands/base/errors";
import { readSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { type Checkpoint, decodeCheckpoints } from "./core/checkpoints.ts";
import { type RunPaths, runPaths } from "./folder.ts";
import { readAuthority } from "./keys.ts";
import { digestProblems } from "./log/digest.ts";
import { SqliteLogReader, sideHash } from "./log/sqlite-log.ts";
import { BlobEvidence } from "./verify/blob-evidence.ts";
import { LogReplay } from "./verify/log-replay.ts";
import { Findings, type VerifyProgress, type VerifyReport } from "./verify/report.ts";
import { sameFloats, WeightsReplay } from "./verify/weights-replay.ts";

export type { VerifyReport } from "./verify/report.ts";

const ROWS_PER_READ = 64;

/**
 * Replays a run from its folder, and compares everything that can be computed with what is stored.
 * The folder may belong to a run that is going on.
 *
 * `onProgress` is called now and then; the event loop turns between calls.
 */
export async function verifyRun(
  runFolder: string,
  options: { readonly onProgress?: (progress: VerifyProgress) => void } = {},
): Promise<VerifyReport> {
  const onProgress = options.onProgress ?? (() => undefined);
  const paths = runPaths(runFolder);
  const findings = new Findings();
  const evidence = new BlobEvidence(paths.blobs, findings);
  const roots = evidence.roots();
  for (const [index, root] of roots.entries()) {
    evidence.check(root);
    onProgress({ doing: "blobs", done: index + 1, total: roots.length });
    if (index % 16 === 15) await turn();
  }
  checkDigest(paths, findings);
  const reader = openReader(paths, findings);
  const weights = new WeightsReplay(
    reader ? sideCheckpoints(reader, findings) : [],
    evidence,
    findings,
  );
  const replay = new LogReplay({ findings, evidence, weights });
  if (reader) {
    await replayRows(reader, { replay, findings, onProgress });
    reader.close();
  }
  checkKeys(paths, replay, findings);
  if (replay.state?.phase === "finished") {
    onProgress({ doing: "export", done: 0, total: null });
    checkExport(paths, { run: replay.state.run, weights: weights.weights }, findings);
  }
  const state = replay.lastGood;
  return {
    runId: state?.runId ?? null,
    phase: state?.phase ?? null,
    rows: replay.rows,
    rounds: state?.roundsClosed ?? 0,
    roundsRecomputed: weights.recomputed,
    updates: replay.updates,
    blobs: evidence.count,
    blobBytes: evidence.bytes,
    stateRoot: state?.stateRoot ?? null,
    problems: findings.problems,
  };
}

function checkDigest(paths: RunPaths, findings: Findings): void {
  if (!existsSync(paths.log)) return;
  // While a coordinator runs, and after one was killed, there is no digest: rows guard themselves.
  for (const problem of digestProblems(paths.log, paths.digest) ?? []) {
    findings.add("log.sqlite", problem);
  }
}

function openReader(paths: RunPaths, findings: Findings): SqliteLogReader | null {
  if (!existsSync(paths.log)) {
    findings.add("log.sqlite", "is not there");
    return null;
  }
  return attempt(findings, () => {
    const reader = new SqliteLogReader(paths.log);
    for (const problem of reader.integrityProblems()) findings.add("log.sqlite", problem);
    return reader;
  });
}

function sideCheckpoints(reader: SqliteLogReader, findings: Findings): readonly Checkpoint[] {
  let checkpoints: readonly Checkpoint[] = [];
  for (const { key, value, hash } of attempt(findings, () => reader.sideRows()) ?? []) {
    if (hash !== sideHash(key, value)) {
      findings.add(`side value ${key.slice(0, 40)}`, "byte hash differs");
    } else if (key === "checkpoints") {
      checkpoints = attempt(findings, () => decodeCheckpoints(JSON.parse(value))) ?? [];
    }
  }
  return checkpoints;
}

async function replayRows(
  reader: SqliteLogReader,
  parts: {
    readonly replay: LogReplay;
    readonly findings: Findings;
    readonly onProgress: (progress: VerifyProgress) => void;
  },
): Promise<void> {
  const { replay, findings, onProgress } = parts;
  let from = 0;
  for (;;) {
    const rows = attempt(findings, () => reader.rows(from, ROWS_PER_READ));
    const last = rows?.at(-1);
    if (!rows || !last) break;
    for (const row of rows) replay.row(row);
    from = last.sequence + 1;
    onProgress({ doing: "log", done: replay.rows, total: null });
    await turn();
  }
  if (replay.rows === 0) findings.add("log.sqlite", "has no rows");
}

function checkKeys(paths: RunPaths, replay: LogReplay, findings: Findings): void {
  try {
    const key = readAuthority(paths.keys);
    const authority = replay.lastGood?.authority;
    // A copy of a run without its secrets can be verified too.
    if (!key || !authority || authority.some(({ bytes }) => bytes === key.bytes)) return;
    findings.add("keys.json", "the public key is not among those that may append to the log");
  } catch (error) {
    findings.add("keys.json", messageOf(error));
  }
}

/** The exported tensors are the final weights, bit for bit. */
function checkExport(
  paths: RunPaths,
  final: { readonly run: FrozenRun; readonly weights: Float32Array | null },
  findings: Findings,
): void {
  const place = "export/model.safetensors";
  if (!existsSync(paths.exportedModel)) return;
  if (!final.weights) {
    findings.add(place, "cannot be compared: the final weights could not be computed");
    return;
  }
  const read = attempt(findings, () => readSafetensors(readFileSync(paths.exportedModel)));
  if (!read) return;
  if (!read.ok) {
    findings.add(place, `${read.error.code}: ${read.error.message}`);
    return;
  }
  const tensors = new Map(read.value.tensors.map((tensor) => [tensor.name, tensor]));
  let offset = 0;
  for (const { name, shape } of final.run.fragments) {
    const length = shape.reduce((product, size) => product * size, 1);
    const tensor = tensors.get(name);
    tensors.delete(name);
    const expected = final.weights.subarray(offset, offset + length);
    offset += length;
    if (!tensor) findings.add(place, `${name} is missing`);
    else if (tensor.shape.join() !== shape.join()) {
      findings.add(place, `${name} has the shape ${tensor.shape.join(" × ")}`);
    } else if (!sameFloats(tensor.values, expected)) {
      findings.add(place, `${name} differs from the final weights`);
    }
  }
  for (const name of tensors.keys()) findings.add(place, `${name} is not a tensor of this run`);
}

/** What cannot be read at all is a finding too. */
function attempt<T>(findings: Findings, read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    findings.add("log.sqlite", messageOf(error));
    return null;
  }
}
