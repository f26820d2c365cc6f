// What an attestor has signed, in a file beside its key: who shows it another past later, or two
// settlements of one number, gets no signature. Stored before a signature leaves this machine.
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { type Decoded, hex, integer, list, object, oneOf } from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { Bundle } from "@manyhands/chain/settle/ledger";

const memoryDecoder = object({
  form: oneOf("manyhands attested 1"),
  /** The last one of each run on each of its places on the chain. */
  signed: list(
    object({
      runId: hex(32),
      chainId: integer(1),
      onChainRunId: integer(1),
      sequence: integer(1),
      /** The log's rows up to there, and their head. */
      rows: integer(1),
      head: hex(32),
      /** SHA-256 of the bundle. */
      evidence: hex(32),
    }),
    { max: 100_000 },
  ),
});
export type Signed = Decoded<typeof memoryDecoder>["signed"][number];

export function signedOf(bundle: Bundle, chainId: number, evidence: string): Signed {
  const { runId, onChainRunId, sequence, rows, head } = bundle;
  return { runId, chainId, onChainRunId, sequence, rows, head, evidence };
}

export class AttestMemory {
  readonly #path: string;
  #signed: readonly Signed[];

  private constructor(path: string, signed: readonly Signed[]) {
    this.#path = path;
    this.#signed = signed;
  }

  /** @throws InputError for a file that is something else, or cannot be read */
  static open(path: string): AttestMemory {
    if (!existsSync(path)) return new AttestMemory(path, []);
    const decoded = memoryDecoder(jsonIn(path));
    if (decoded.ok) return new AttestMemory(path, decoded.value.signed);
    throw new InputError(`${path} does not hold what an attestor has signed`, {
      hint: "Give another file with --memory. Without its memory an attestor can be fooled.",
    });
  }

  /** @param headAt the log's head after so many rows @returns why it must not be signed; or null */
  problem(next: Signed, headAt: (rows: number) => string | null): string | null {
    for (const one of this.#signed) {
      if (one.runId !== next.runId) continue;
      const head = headAt(one.rows);
      const where = `row ${one.rows - 1}, up to which settlement ${one.sequence} was signed here`;
      if (head === null) return `the log ends before ${where}`;
      if (head !== one.head) return `the log was rewritten behind ${where}`;
      if (!isSamePlace(one, next)) continue;
      if (next.sequence < one.sequence) return `number ${one.sequence} was signed here already`;
      if (next.sequence === one.sequence && next.evidence !== one.evidence) {
        return `another settlement ${one.sequence} was signed here`;
      }
    }
    return null;
  }

  /** On the disk when it returns. @throws InputError */
  remember(signed: Signed): void {
    this.#signed = [...this.#signed.filter((one) => !isSamePlace(one, signed)), signed];
    const text = JSON.stringify({ form: "manyhands attested 1", signed: this.#signed }, null, 2);
    const temporary = `${this.#path}.tmp`;
    try {
      const file = openSync(temporary, "w");
      writeSync(file, `${text}\n`);
      fsyncSync(file);
      closeSync(file);
      renameSync(temporary, this.#path);
    } catch (cause) {
      throw new InputError(`${this.#path} cannot be written: ${messageOf(cause)}`, {
        cause,
        hint: "Nothing was signed. Give a file that can be, with --memory.",
      });
    }
  }
}

function isSamePlace(a: Signed, b: Signed): boolean {
  return a.runId === b.runId && a.chainId === b.chainId && a.onChainRunId === b.onChainRunId;
}

function jsonIn(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // The decoder says no.
    return null;
  }
}
