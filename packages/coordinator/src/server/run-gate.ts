// The way into a run over HTTP: which run, who asks, and whether that role may.

import { reject } from "@manyhands/protocol/rejects";
import type { FastifyReply, FastifyRequest } from "fastify";
import { refuseWith } from "./answers.ts";
import { type HostedRun, type Role, roleOf } from "./hosted-run.ts";
import type { TrafficMeter } from "./traffic.ts";

type RunRequest = FastifyRequest<{ Params: { readonly id: string } }>;

export class RunGate {
  readonly #runs: ReadonlyMap<string, HostedRun>;
  readonly #meter: TrafficMeter;

  constructor(runs: ReadonlyMap<string, HostedRun>, meter: TrafficMeter) {
    this.#runs = runs;
    this.#meter = meter;
  }

  /** The run that a request is about; null after a refusal has been sent. */
  run(request: RunRequest, reply: FastifyReply): HostedRun | null {
    const { id } = request.params;
    const run = this.#runs.get(id);
    if (!run) {
      refuseWith(reply, reject("hello/run-unknown", `there is no run ${id.slice(0, 64)} here`));
      return null;
    }
    this.#meter.attribute(request.raw.socket, run.traffic, null);
    return run;
  }

  /** The run, if the request comes from one of the roles; null after a refusal has been sent. */
  enter(
    request: RunRequest,
    reply: FastifyReply,
    roles: readonly Role["kind"][],
  ): { readonly run: HostedRun; readonly role: Role } | null {
    const run = this.run(request, reply);
    if (!run) return null;
    const role = roleOf(run, request.headers.authorization);
    if (!role || !roles.includes(role.kind)) {
      const code = roles.includes("worker") ? "auth/session" : "auth/token";
      const message = role
        ? `expected the token of ${roles.join(" or ")}, found one of a ${role.kind}`
        : "expected Authorization: Bearer with a token that is valid now";
      run.core.countReject(code);
      reply.header("connection", "close");
      refuseWith(reply, reject(code, message), role ? 403 : 401);
      return null;
    }
    if (role.kind === "worker") {
      this.#meter.attribute(request.raw.socket, run.traffic, role.workerId);
      run.core.touch(role.workerId);
    }
    return { run, role };
  }
}
