// The log: signed, hash-chained events, from which everything else is rebuilt (docs/spec/04-log-
// and-blobs.md §4.1). Not the protocol: it knows how rows hang together, not what their events
// mean.
import { type Bytes, fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { problemText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { hashLeaf, sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import { eventDecoder, type RunEvent } from "@manyhands/protocol/events";
import type { SigningKey } from "@manyhands/protocol/keys";
import type { RunId } from "@manyhands/protocol/run-config";
import { logHeadSigningBytes } from "@manyhands/protocol/signing";

/** One event in its final form. Hashes and the signature are lower-case hex. */
export type LogRow = {
  readonly sequence: number;
  /** Canonical JSON of the event. */
  readonly event: string;
  /** SHA-256 of the event's UTF-8. */
  readonly entry: string;
  readonly previousHead: string;
  readonly head: string;
  /** By the coordinator's authority key, over logHeadSigningBytes. */
  readonly signature: string;
};

/** How many rows there are, and the head of the last one. */
export type LogHead = { readonly length: number; readonly head: string };

/**
 * A log of one run. `append` returns only when the rows are durable; it takes all rows or none.
 *
 * Beside the rows there is a small store of side values (traffic totals, where checkpoints are):
 * nothing in it is part of the run's state, and all of it can be lost without losing the run.
 */
export type Log = {
  /** @throws LogConflictError if the head is another one */
  append(expectedHead: string, events: readonly RunEvent[]): readonly LogRow[];
  /** Rows from a sequence number on, in order, at most `limit`. */
  rows(from: number, limit: number): readonly LogRow[];
  head(): LogHead;
  sideValue(key: string): Json | null;
  putSideValue(key: string, value: Json): void;
  close(): void;
};

export type Sign = (bytes: Bytes) => string;
export type VerifySignature = (key: SigningKey, bytes: Bytes, signature: string) => boolean;

const GENESIS_HEAD = "00".repeat(32);

export const EMPTY_LOG: LogHead = { length: 0, head: GENESIS_HEAD };

/** SHA-256 of an event's canonical text. */
export function entryOf(event: string): string {
  return toHex(sha256(utf8(event)));
}

/** head = H("manyhands/log/v1", previousHead, entry). @source docs/spec §4.1 */
export function headOf(previousHead: string, entry: string): string {
  return toHex(hashLeaf("manyhands/log/v1", fromHex(previousHead), fromHex(entry)));
}

/** The row that an event becomes on top of a head. */
function sealRow(
  event: RunEvent,
  onto: LogHead,
  signer: { readonly runId: RunId; readonly sign: Sign },
): LogRow {
  const text = canonicalJson(event);
  const entry = entryOf(text);
  const head = headOf(onto.head, entry);
  const signature = signer.sign(logHeadSigningBytes(signer.runId, head));
  return {
    sequence: onto.length,
    event: text,
    entry,
    previousHead: onto.head,
    head,
    signature,
  };
}

/** The rows that events become, one upon the other. */
export function sealRows(
  events: readonly RunEvent[],
  onto: LogHead,
  signer: { readonly runId: RunId; readonly sign: Sign },
): readonly LogRow[] {
  const rows: LogRow[] = [];
  let at = onto;
  for (const event of events) {
    const row = sealRow(event, at, signer);
    rows.push(row);
    at = { length: row.sequence + 1, head: row.head };
  }
  return rows;
}

/** The event of a row, or what is wrong with its text. */
export function decodeRow(row: LogRow): Result<RunEvent, string> {
  let value: unknown;
  try {
    value = JSON.parse(row.event);
  } catch (error) {
    return err(`the event is not JSON: ${messageOf(error)}`);
  }
  const decoded = eventDecoder(value);
  if (!decoded.ok) return err(`the event: ${problemText(decoded.error)}`);
  if (canonicalJson(decoded.value) !== row.event) return err("the event is not canonical JSON");
  return ok(decoded.value);
}

export type RowRules = {
  readonly runId: RunId;
  readonly authority: readonly SigningKey[];
  readonly verify: VerifySignature;
};

/** Everything that is wrong with a row's place, chain and signature; empty if it is sound. */
export function rowProblems(row: LogRow, expected: LogHead, rules: RowRules): readonly string[] {
  const problems: string[] = [];
  if (row.sequence !== expected.length) {
    problems.push(`the sequence number is ${row.sequence}, expected ${expected.length}`);
  }
  if (row.previousHead !== expected.head) {
    problems.push(
      `previousHead is ${row.previousHead}, but the row before ends in ${expected.head}`,
    );
  }
  if (row.entry !== entryOf(row.event)) problems.push("entry is not the hash of the event");
  if (row.head !== headOf(expected.head, entryOf(row.event))) {
    problems.push("head is not the hash of the previous head and the event");
  }
  if (!signedByAuthority(row, rules)) {
    problems.push("the signature is not the authority's signature of this head");
  }
  return problems;
}

function signedByAuthority(row: LogRow, rules: RowRules): boolean {
  if (!HEX_32.test(row.head) || !HEX_64.test(row.signature)) return false;
  const bytes = logHeadSigningBytes(rules.runId, row.head);
  return rules.authority.some((key) => rules.verify(key, bytes, row.signature));
}

const HEX_32 = /^[0-9a-f]{64}$/;
const HEX_64 = /^[0-9a-f]{128}$/;
