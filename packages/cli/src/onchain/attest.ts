// What `manyhands attest` does: computes a settlement from the log alone, and signs it only if
// every byte is the same as what the coordinator published.

import { existsSync } from "node:fs";
import { canonicalJson } from "@manyhands/base/canonical";
import { InputError } from "@manyhands/base/errors";
import { Journal } from "@manyhands/chain/settle/journal";
import { type Bundle, bundleDecoder, bundleText, postingOf } from "@manyhands/chain/settle/ledger";
import { signPosting } from "@manyhands/chain/settle/posting";
import { attestorsOf, takeSignature } from "@manyhands/chain/settle/settler";
import { verifyRun } from "@manyhands/coordinator/verify";
import { type JoinUrl, parseJoinUrl } from "@manyhands/worker/host/join-url";
import { type Hex, isAddressEqual } from "viem";
import type { ChainFlags } from "../pay/chain-flags.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { CommandError } from "../terminal/failure.ts";
import { AttestMemory, signedOf } from "./attest-memory.ts";
import { chainTermsProblem } from "./chain-terms.ts";
import { journalPath, openContracts, readKey } from "./open-chain.ts";
import { fetchPayLog, type PayLog, readPayLog } from "./pay-log.ts";
import { ask } from "./run-http.ts";

export type Attested = {
  readonly sequence: number;
  readonly round: number;
  readonly total: string;
  readonly accounts: number;
  readonly attestor: string;
  /** weights: every round was computed again; log: the log alone was. */
  readonly checked: "weights" | "log";
};

export type AttestFlags = ChainFlags & {
  /** What was signed; default: beside the key. */
  readonly memory?: string;
};

/** Where a run's log and settlements are. */
type Source = {
  readonly checked: Attested["checked"];
  readonly log: () => Promise<PayLog>;
  /** The newest settlement's text; null if there is none. */
  readonly newest: () => Promise<{ readonly sequence: number; readonly text: string } | null>;
  readonly deliver: (sequence: number, signature: Hex) => Promise<void>;
};

/** @throws CommandError that names what differs, or if there is nothing to sign */
export async function attestRun(given: string, flags: AttestFlags): Promise<Attested> {
  const attested = await attestAfter(0, given, flags);
  if (attested) return attested;
  throw new CommandError("there is no settlement to attest yet");
}

/** @returns null while the newest settlement's number is not above this one */
export async function attestAfter(
  sequenceBefore: number,
  given: string,
  flags: AttestFlags,
): Promise<Attested | null> {
  const account = await readKey(flags.key);
  const isUrl = /^https?:/.test(given);
  const source = isUrl ? overHttp(parseJoinUrl(given)) : inFolder(findRunFolder(given), flags);
  // First what is to be signed, then the log: so nothing in it is newer than the log.
  const found = await source.newest();
  if (!found || found.sequence <= sequenceBefore) return null;
  const log = await source.log();
  const attestors = attestorsOf(log.pay);
  if (!attestors.some((one) => isAddressEqual(one, account.address))) {
    throw new InputError(`${account.address} is none of this run's attestors`, {
      hint: `They are: ${attestors.join(", ")}.`,
    });
  }
  const bundle = sameBundle(found, log);
  const contracts = await openContracts(log.pay, flags);
  const problem = await chainTermsProblem(contracts, log, bundle);
  if (problem !== null) refuse(problem);
  const { sequence } = bundle;
  const { chainId } = log.pay.chain;
  const posting = postingOf(bundle);
  const memory = AttestMemory.open(flags.memory ?? `${flags.key}.attested.json`);
  const signed = signedOf(bundle, chainId, posting.evidence.slice(2));
  const contradiction = memory.problem(signed, log.headAt);
  if (contradiction !== null) refuse(contradiction);
  const signature = await signPosting(account, posting, {
    ...{ chainId, settlement: contracts.settlement },
  });
  memory.remember(signed);
  await source.deliver(sequence, signature);
  return {
    ...{ sequence, round: bundle.round, total: bundle.total, accounts: bundle.accounts.length },
    ...{ attestor: account.address, checked: source.checked },
  };
}

/** What the log says, if it is what was published. */
function sameBundle(
  { sequence, text }: { readonly sequence: number; readonly text: string },
  log: PayLog,
): Bundle {
  const decoded = bundleDecoder(jsonOf(text));
  if (!decoded.ok) return refuse("it is no settlement");
  const theirs = decoded.value;
  if (theirs.sequence !== sequence) refuse(`it says that it is number ${theirs.sequence}`);
  if (theirs.round >= log.roundsClosed) {
    refuse(`it covers round ${theirs.round}, the log has ${log.roundsClosed} closed rounds`);
  }
  const { onChainRunId } = theirs;
  const ours = log.bundleAt(theirs.round, { onChainRunId, sequence });
  if (!ours && log.pay.scores) return refuse("it does not end with a window that is scored");
  if (!ours) return refuse("by the log nobody has earned anything yet");
  if (bundleText(ours) === text) return ours;
  return refuse(differences(theirs, ours).join("; "));
}

function differences(theirs: Bundle, ours: Bundle): readonly string[] {
  const fields = ["runId", "rows", "head", "roundsRoot", "weightsRoot", "total"] as const;
  const found = fields.flatMap((field) =>
    theirs[field] === ours[field]
      ? []
      : [`${field} is ${theirs[field]}, by the log it is ${ours[field]}`],
  );
  const mine = new Map(ours.accounts.map(({ account, cumulative }) => [account, cumulative]));
  for (const { account, cumulative } of theirs.accounts) {
    const expected = mine.get(account) ?? "nothing";
    if (expected !== cumulative) {
      found.push(`0x${account} has ${cumulative}, by the log ${expected}`);
    }
    mine.delete(account);
  }
  const [said, known] = [theirs, ours].map(({ scores }) => canonicalJson(scores ?? null));
  if (said !== known) found.push("its scores are not those of its windows");
  for (const [account, cumulative] of mine) found.push(`0x${account} lacks its ${cumulative}`);
  return found.length > 0 ? found : ["its text is not canonical"];
}

function refuse(problem: string): never {
  throw new CommandError(`not signed: the log does not support this settlement: ${problem}`, {
    hint: "Somebody is wrong about who is owed what. Ask the run's owner before anything else.",
  });
}

function inFolder(folder: string, flags: ChainFlags): Source {
  const path = journalPath(folder);
  const log = async (): Promise<PayLog> => {
    const { problems } = await verifyRun(folder);
    const [first] = problems;
    if (first) refuse(`${first.place}: ${first.problem}`);
    return readPayLog(folder);
  };
  const within = async <T>(work: (journal: Journal) => T | Promise<T>): Promise<T> => {
    const journal = Journal.beside(path);
    try {
      return await work(journal);
    } finally {
      journal.close();
    }
  };
  return {
    checked: "weights",
    log,
    newest: async () => {
      if (!existsSync(path)) return null;
      return within((journal) => {
        const stored = journal.newestSettlement();
        return stored ? { sequence: stored.sequence, text: stored.bundle } : null;
      });
    },
    deliver: async (sequence, signature) => {
      const { pay } = readPayLog(folder);
      const { settlement } = await openContracts(pay, flags);
      await within((journal) => takeSignature({ journal, pay, settlement }, sequence, signature));
    },
  };
}

function overHttp(url: JoinUrl): Source {
  const at = `${url.runUrl}/settlements`;
  return {
    checked: "log",
    log: async () => {
      const log = await fetchPayLog(url);
      if (log.runId !== url.runId) refuse(`the log is of run ${log.runId}`);
      return log;
    },
    newest: async () => {
      const list: unknown = await (await ask(at, url.token)).json();
      const newest: unknown = Array.isArray(list) ? list.at(-1)?.sequence : undefined;
      if (typeof newest !== "number") return null;
      const text = await (await ask(`${at}/${newest}`, url.token)).text();
      return { sequence: newest, text };
    },
    deliver: async (sequence, signature) => {
      const body = JSON.stringify({ signature });
      await ask(`${at}/${sequence}/signatures`, url.token, { method: "POST", body });
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The decoder says what was expected.
    return null;
  }
}
