// Settlements over HTTP: what is to be attested, and attestors' signatures
// (docs/spec/09-pay.md §9.5). What they mean, and the chain, are behind the desk.
import { type Decoded, object, problemText, text } from "@manyhands/base/decode";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { readAtMost } from "./body.ts";
import type { HostedRun } from "./hosted-run.ts";
import type { RunGate } from "./run-gate.ts";

const ANYBODY = ["owner", "guest", "worker"] as const;
const BODY_BYTES_MAX = 4_096;
const signatureDecoder = object({ signature: text(1_024) });
type Signed = Decoded<typeof signatureDecoder>;
type Params = { readonly id: string; readonly sequence: string };

export function addSettlementRoutes(app: FastifyInstance, gate: RunGate): void {
  app.get<{ Params: Params }>("/runs/:id/settlements", (request, reply) => {
    const entered = gate.enter(request, reply, ANYBODY);
    if (!entered) return reply;
    return entered.run.settlements?.list() ?? [];
  });

  app.get<{ Params: Params }>("/runs/:id/settlements/:sequence", (request, reply) => {
    const entered = gate.enter(request, reply, ANYBODY);
    if (!entered) return reply;
    const bundle = entered.run.settlements?.bundle(Number(request.params.sequence));
    if (bundle === undefined || bundle === null) return nothing(reply);
    return reply.type("application/json; charset=utf-8").send(bundle);
  });

  const path = "/runs/:id/settlements/:sequence/signatures";
  app.post<{ Params: Params }>(path, (request, reply) => {
    const entered = gate.enter(request, reply, ANYBODY);
    return entered ? takeSignature(entered.run, request, reply) : reply;
  });
}

async function takeSignature(
  { settlements }: HostedRun,
  request: FastifyRequest<{ Params: Params }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (!settlements) return nothing(reply);
  const body = await readAtMost(request.raw, BODY_BYTES_MAX);
  const signed = signatureDecoder(body && parsed(body));
  if (!signed.ok) return refuse(reply, 400, problemText(signed.error));
  const { signature }: Signed = signed.value;
  const taken = await settlements.sign(Number(request.params.sequence), signature);
  return taken.ok ? reply.code(201).send({}) : refuse(reply, 422, taken.error);
}

function nothing(reply: FastifyReply): FastifyReply {
  const message = "there is no such settlement";
  return reply.code(404).send({ code: "http/not-found", message });
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  reply.header("connection", "close");
  return reply.code(status).send({ code: "http/failed", message });
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    // The decoder says what was expected.
    return null;
  }
}
