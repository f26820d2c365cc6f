// The blobs of a run folder, each hashed once. What is damaged or missing is found, and read as if
// it were not there.
import { statSync } from "node:fs";
import type { Bytes } from "@manyhands/base/bytes";
import { messageOf } from "@manyhands/base/errors";
import { BlobFolder } from "../blobs/disk-blobs.ts";
import type { Findings } from "./report.ts";

export class BlobEvidence {
  readonly #folder: BlobFolder;
  readonly #findings: Findings;
  readonly #unusable = new Set<string>();
  #count = 0;
  #bytes = 0;

  constructor(path: string, findings: Findings) {
    this.#folder = new BlobFolder(path);
    this.#findings = findings;
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      findings.add("blobs", "the folder is not there");
    }
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Names of all blobs that are here. */
  roots(): readonly string[] {
    try {
      return this.#folder.roots();
    } catch (error) {
      this.#findings.add("blobs", messageOf(error));
      return [];
    }
  }

  /** Hashes one blob of the folder. */
  check(root: string): void {
    try {
      const bytes = this.#folder.read(root);
      if (!bytes) return;
      this.#count += 1;
      this.#bytes += bytes.length;
    } catch (error) {
      this.#unusable.add(root);
      this.#findings.add(`blob ${root}`, `byte hash differs: ${messageOf(error)}`);
    }
  }

  /** A blob that the log names. Null if it is unusable; that is a finding, told once. */
  read(root: string, namedBy: string): Bytes | null {
    if (this.#unusable.has(root)) return null;
    try {
      const bytes = this.#folder.read(root);
      if (bytes) return bytes;
      this.#findings.add(`blob ${root}`, `is missing; ${namedBy} names it`);
    } catch (error) {
      this.#findings.add(`blob ${root}`, messageOf(error));
    }
    this.#unusable.add(root);
    return null;
  }
}
