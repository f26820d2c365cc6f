// A worker that trains nothing: it speaks the protocol with real keys, real signatures and real
// codecs.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { encodeUpdate } from "@manyhands/aggregation/codec/update";
import { elementCount } from "@manyhands/aggregation/fragments";
import { toHex } from "@manyhands/base/bytes";
import type { Join, Update } from "@manyhands/protocol/events";
import { type Payout, workerIdOf } from "@manyhands/protocol/keys";
import type { ClientMessage, RoundInfo } from "@manyhands/protocol/messages";
import { type FrozenRun, type RunId, tokensPerStep } from "@manyhands/protocol/run-config";
import { commitSigningBytes, joinSigningBytes } from "@manyhands/protocol/signing";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import { rootOfBytes } from "../blobs/blob-hasher.ts";
import { randomFloats } from "./tiny-run.ts";

export type MessageOf<T extends ClientMessage["type"]> = Extract<ClientMessage, { type: T }>;

/** An update in both forms: what is claimed, and its bytes. */
export type MadeUpdate = { readonly update: Update; readonly bytes: Uint8Array };

export class FakeWorker {
  readonly name: string;
  readonly join: Join;
  readonly workerId: string;
  readonly #privateKey: KeyObject;

  constructor(name: string) {
    this.name = name;
    const { privateKey } = generateKeyPairSync("ed25519");
    this.#privateKey = privateKey;
    const bytes = Buffer.from(privateKey.export({ format: "jwk" }).x ?? "", "base64url");
    this.join = {
      signingKey: { algorithm: "ed25519", bytes: bytes.toString("hex") },
      exchangeKey: { algorithm: "x25519", bytes: "11".repeat(32) },
      payout: null,
      numerics: "reference",
      name,
    };
    this.workerId = workerIdOf(this.join.signingKey);
  }

  sign(bytes: Uint8Array): string {
    return toHex(new Uint8Array(sign(null, bytes, this.#privateKey)));
  }

  hello(token: string, changed: Partial<MessageOf<"hello">> = {}): MessageOf<"hello"> {
    return {
      type: "hello",
      protocolVersion: PROTOCOL_VERSION,
      kernelSet: KERNEL_SET,
      runId: null,
      token,
      ...changed,
    };
  }

  joinMessage(runId: RunId, challenge: string, payout: Payout | null = null): MessageOf<"join"> {
    const join = { ...this.join, payout };
    const signature = this.sign(joinSigningBytes(runId, challenge, join));
    return { type: "join", ...join, signature };
  }

  /** What an honest worker would claim after its inner steps; its values are random. */
  update(run: FrozenRun, info: RoundInfo, seed: number): MadeUpdate {
    const { assignment } = info;
    if (!assignment) throw new Error(`${this.name} has no assignment in round ${info.round}`);
    const values = randomFloats(elementCount(run.fragments), seed, 0.01);
    const bytes = encodeUpdate({ codec: run.recipe.codec, fragments: run.fragments, values });
    const windows = assignment.evaluate?.windows.length ?? 0;
    const update: Update = {
      round: info.round,
      baseRoot: info.baseRoot,
      data: {
        kind: "range",
        firstSample: assignment.firstSample,
        sampleCount: assignment.sampleCount,
      },
      tokens: assignment.innerSteps * tokensPerStep(run.recipe),
      innerSteps: assignment.innerSteps,
      codec: run.recipe.codec,
      numerics: this.join.numerics,
      fragments: null,
      updateRoot: rootOfBytes(bytes),
      updateBytes: bytes.length,
      groupCount: 1,
      traceRoot: null,
      carried: [],
      metrics: {
        trainLossMicronats: 2_000_000 + seed,
        innerStepMicros: 1_000,
        evaluation:
          windows === 0
            ? null
            : { lossMicronats: 2_500_000, tokens: windows * run.recipe.contextLength },
      },
    };
    return { update, bytes };
  }

  commit(runId: RunId, update: Update): MessageOf<"commit"> {
    return { type: "commit", update, signature: this.sign(commitSigningBytes(runId, update)) };
  }
}
