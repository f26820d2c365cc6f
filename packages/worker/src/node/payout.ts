// Whom a device's credit is paid to: named once, kept beside its keys.
// Not the account's key: that is the wallet's, and never here.
import { join } from "node:path";
import { type Decoded, object, oneOf, problemText } from "@manyhands/base/decode";
import { type Payout, payoutDecoder } from "@manyhands/protocol/keys";
import { StorageError } from "../host/errors.ts";
import { replaceFile } from "./atomic-file.ts";
import { readIfThere } from "./disk-files.ts";

const payoutFileDecoder = object({ form: oneOf("manyhands payout 1"), payout: payoutDecoder });
type PayoutFile = Decoded<typeof payoutFileDecoder>;

/**
 * What is given, which the folder keeps; else what it kept; undefined if it was never told.
 *
 * @throws StorageError if the kept file is none: money is not sent by a guess
 */
export async function keptPayout(
  folder: string,
  given: Payout | undefined,
): Promise<Payout | undefined> {
  const path = join(folder, "payout.json");
  if (given) {
    const file: PayoutFile = { form: "manyhands payout 1", payout: given };
    await replaceFile(path, [Buffer.from(`${JSON.stringify(file, null, 2)}\n`)]);
    return given;
  }
  const found = await readIfThere(path);
  if (!found) return undefined;
  const decoded = payoutFileDecoder(parsedJson(found.toString()));
  if (decoded.ok) return decoded.value.payout;
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
