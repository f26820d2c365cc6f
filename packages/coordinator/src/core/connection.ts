// One control connection as the core sees it: how far it got, and how much it was refused.
import { err, ok, type Result } from "@manyhands/base/result";
import { type Join, joinDecoder } from "@manyhands/protocol/events";
import { type WorkerId, workerIdOf } from "@manyhands/protocol/keys";
import type { ClientMessage } from "@manyhands/protocol/messages";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import type { RunId } from "@manyhands/protocol/run-config";
import { joinSigningBytes } from "@manyhands/protocol/signing";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import type { VerifySignature } from "../log/log.ts";
import type { Peer } from "./ports.ts";

/** Refusals after which a connection is closed: an honest worker meets a few at most. */
export const REJECTS_PER_CONNECTION_MAX = 16;

type Progress =
  | { readonly kind: "new" }
  | { readonly kind: "greeted"; readonly challenge: string }
  | { readonly kind: "joined"; readonly workerId: WorkerId };

/** Made by the core, held by the shell: it has no meaning elsewhere. */
export class Connection {
  readonly peer: Peer;
  progress: Progress = { kind: "new" };
  rejects = 0;
  open = true;

  constructor(peer: Peer) {
    this.peer = peer;
  }

  get workerId(): WorkerId | null {
    return this.progress.kind === "joined" ? this.progress.workerId : null;
  }
}

export type Hello = Extract<ClientMessage, { type: "hello" }>;
export type JoinMessage = Extract<ClientMessage, { type: "join" }>;

/** May this peer talk to this run at all? The first thing that does not fit is told. */
export function checkHello(
  hello: Hello,
  expected: { readonly runId: RunId; readonly admits: (token: string) => boolean },
): Result<null, Reject> {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    return err(
      reject(
        "hello/protocol-version",
        `this run speaks protocol ${PROTOCOL_VERSION}, the worker ${hello.protocolVersion}: ` +
          "start the worker from this coordinator's own tarball",
      ),
    );
  }
  if (hello.kernelSet !== KERNEL_SET) {
    return err(
      reject(
        "hello/kernel-set",
        `this run computes with the kernels ${KERNEL_SET}, the worker with ${hello.kernelSet}: ` +
          "start the worker from this coordinator's own tarball",
      ),
    );
  }
  if (hello.runId !== null && hello.runId !== expected.runId) {
    return err(reject("hello/run-unknown", `this is run ${expected.runId}, not ${hello.runId}`));
  }
  return expected.admits(hello.token)
    ? ok(null)
    : err(reject("auth/token", "the admission token is not this run's: check the join URL"));
}

/** The join inside a message, if its signature is over this connection's challenge. */
export function checkJoin(
  message: JoinMessage,
  expected: {
    readonly runId: RunId;
    readonly challenge: string;
    readonly verify: VerifySignature;
  },
): Result<{ readonly join: Join; readonly workerId: WorkerId }, Reject> {
  const { type: _, signature, ...fields } = message;
  const join = joinDecoder(fields);
  if (!join.ok) return err(reject("message/malformed", "a join has its fields"));
  const bytes = joinSigningBytes(expected.runId, expected.challenge, join.value);
  if (!expected.verify(join.value.signingKey, bytes, signature)) {
    return err(
      reject(
        "auth/signature",
        "expected the signing key's signature of this connection's challenge",
      ),
    );
  }
  return ok({ join: join.value, workerId: workerIdOf(join.value.signingKey) });
}
