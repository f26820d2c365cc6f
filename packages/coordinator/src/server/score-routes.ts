// Scores over HTTP: windows, what was said of them, and what validators commit to and reveal
// (docs/spec/09-pay.md §9.6). What it means is behind the desk.
import type { Result } from "@manyhands/base/result";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ScoreDesk, ScoreRefusal } from "../score-desk.ts";
import { readAtMost } from "./body.ts";
import type { RunGate } from "./run-gate.ts";

const ANYBODY = ["owner", "guest", "worker"] as const;
/** Scores of as many workers as a run can have, 110 bytes each. */
const BODY_BYTES_MAX = 512 * 1_024;

type Params = { readonly id: string; readonly window: string };
type WindowRequest = FastifyRequest<{ Params: Params }>;
type Take = (desk: ScoreDesk, window: number, said: unknown) => Result<null, ScoreRefusal>;

export function addScoreRoutes(app: FastifyInstance, gate: RunGate): void {
  app.get<{ Params: Params }>("/runs/:id/scores", (request, reply) => {
    const entered = gate.enter(request, reply, ANYBODY);
    if (!entered) return reply;
    return entered.run.settlements?.scores?.list() ?? [];
  });

  app.get<{ Params: Params }>("/runs/:id/scores/:window", (request, reply) => {
    const entered = gate.enter(request, reply, ANYBODY);
    if (!entered) return reply;
    const window = numberOf(request);
    const text = entered.run.settlements?.scores?.transcript(window) ?? null;
    if (text === null) return nothing(reply);
    return reply.type("application/json; charset=utf-8").send(text);
  });

  const takes: readonly (readonly [string, Take])[] = [
    ["commits", (desk, window, said) => desk.commit(window, said)],
    ["reveals", (desk, window, said) => desk.reveal(window, said)],
  ];
  for (const [name, take] of takes) {
    app.post<{ Params: Params }>(`/runs/:id/scores/:window/${name}`, async (request, reply) => {
      const entered = gate.enter(request, reply, ANYBODY);
      if (!entered) return reply;
      const desk = entered.run.settlements?.scores;
      if (!desk) return nothing(reply);
      const body = await readAtMost(request.raw, BODY_BYTES_MAX);
      if (!body)
        return refuse(reply, 413, { code: "http/failed", message: "the body is too long" });
      const taken = take(desk, numberOf(request), parsed(body));
      return taken.ok ? reply.code(201).send({}) : refuse(reply, 422, taken.error);
    });
  }
}

/** −1 for what is no window's number: there is none of it. */
function numberOf({ params }: WindowRequest): number {
  return /^\d{1,9}$/.test(params.window) ? Number(params.window) : -1;
}

function nothing(reply: FastifyReply): FastifyReply {
  const message = "there is no such window of scores";
  return reply.code(404).send({ code: "http/not-found", message });
}

function refuse(reply: FastifyReply, status: number, refusal: ScoreRefusal): FastifyReply {
  reply.header("connection", "close");
  return reply.code(status).send(refusal);
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    // The desk's decoder says what was expected.
    return null;
  }
}
