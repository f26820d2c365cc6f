// Whom a device's credit is paid to: named once, kept beside its keys, with what the account's
// wallet has signed for each run. Not the account's key: that is the wallet's, and never here.
import { join } from "node:path";
import { type Decoded, hex, list, object, oneOf, problemText } from "@manyhands/base/decode";
import { type Payout, payoutDecoder } from "@manyhands/protocol/keys";
import type { RunId } from "@manyhands/protocol/run-config";
import { StorageError } from "../host/errors.ts";
import { replaceFile } from "./atomic-file.ts";
import { readIfThere } from "./disk-files.ts";

/** Those of the newest runs. */
const DELEGATIONS_MAX = 256;

/** As written before there were delegations. */
const accountFileDecoder = object({ form: oneOf("manyhands payout 1"), payout: payoutDecoder });

const payoutFileDecoder = object({
  form: oneOf("manyhands payout 2"),
  account: hex(20),
  /** The account's signatures, one for a run, oldest first. */
  delegations: list(object({ run: hex(32), signature: hex(65) }), { max: DELEGATIONS_MAX }),
});
type PayoutFile = Decoded<typeof payoutFileDecoder>;

/**
 * What is given, which the folder keeps; else what it kept; undefined if it was never told. A
 * delegation is of one account for one run: another account has none, and no other run hears of it.
 *
 * @throws StorageError if the kept file is none: money is not sent by a guess
 */
export async function keptPayout(
  folder: string,
  run: RunId,
  given: Payout | undefined,
): Promise<Payout | undefined> {
  const path = join(folder, "payout.json");
  const kept = await readPayout(path, given !== undefined);
  if (given) {
    const file = withPayout(kept?.account === given.account ? kept.delegations : [], run, given);
    await replaceFile(path, [Buffer.from(`${JSON.stringify(file, null, 2)}\n`)]);
    return payoutIn(file, run);
  }
  return kept && payoutIn(kept, run);
}

function payoutIn({ account, delegations }: PayoutFile, run: RunId): Payout {
  const found = delegations.find((one) => one.run === run);
  return { account, delegation: found?.signature ?? null };
}

function withPayout(
  before: PayoutFile["delegations"],
  run: RunId,
  { account, delegation }: Payout,
): PayoutFile {
  const form = "manyhands payout 2";
  if (delegation === null) return { form, account, delegations: before };
  const others = before.filter((one) => one.run !== run).slice(1 - DELEGATIONS_MAX);
  return { form, account, delegations: [...others, { run, signature: delegation }] };
}

/** @param isReplaced what cannot be read does no harm then: it is about to be written anew */
async function readPayout(path: string, isReplaced: boolean): Promise<PayoutFile | undefined> {
  const found = await readIfThere(path);
  if (!found) return undefined;
  const parsed = parsedJson(found.toString());
  const decoded = payoutFileDecoder(parsed);
  if (decoded.ok) return decoded.value;
  const older = accountFileDecoder(parsed);
  if (older.ok) return withPayout([], "", { ...older.value.payout, delegation: null });
  if (isReplaced) return undefined;
  throw new StorageError(`${path} names no account: ${problemText(decoded.error)}`, {
    hint: "say it again with --pay-to, or remove the file to take part without being paid",
  });
}

function parsedJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    // The decoder's sentence says what was expected.
    return content;
  }
}
