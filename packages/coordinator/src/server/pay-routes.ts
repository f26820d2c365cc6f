// Pay over HTTP: a run's terms and money, one account's standing, and the owner's two wishes
// (docs/spec/09-pay.md §9.5). The chain and the accounts are behind the desk.
import { type Decoded, object, problemText, text } from "@manyhands/base/decode";
import type { Result } from "@manyhands/base/result";
import type { Pay } from "@manyhands/protocol/pay";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { PayStanding, SettlementDesk } from "../settlement-desk.ts";
import { readAtMost } from "./body.ts";
import type { Role } from "./hosted-run.ts";
import type { RunGate } from "./run-gate.ts";

const ANYBODY = ["owner", "guest", "worker"] as const;
const BODY_BYTES_MAX = 1_024;
const ACCOUNT = /^(?:0x)?([0-9a-f]{40})$/;
const TRANSACTION = /^0x[0-9a-f]{64}$/;
const madeDecoder = object({ transaction: text(66) });
type Made = Decoded<typeof madeDecoder>;

type Params = { readonly id: string };
type AccountParams = Params & { readonly account: string };
type RunRequest = FastifyRequest<{ Params: Params }>;

/** What `GET /runs/:id/pay` answers. */
export type PayTold = {
  readonly terms: Pay;
  /** Null where nobody settles beside this coordinator, or the chain does not answer. */
  readonly standing: PayStanding | null;
  /** Why there is no standing; null if there is. */
  readonly trouble: string | null;
};

export function addPayRoutes(app: FastifyInstance, gate: RunGate): void {
  app.get<{ Params: Params }>("/runs/:id/pay", (request, reply) => {
    const entered = enterPaid(gate, request, reply, ANYBODY);
    return entered ? tellPay(entered) : reply;
  });

  app.get<{ Params: AccountParams }>("/runs/:id/pay/accounts/:account", (request, reply) => {
    const entered = enterPaid(gate, request, reply, ANYBODY);
    if (!entered) return reply;
    const account = ACCOUNT.exec(request.params.account.toLowerCase())?.[1];
    if (!account) return refuse(reply, 400, "expected an account: 40 hex digits");
    return viaDesk(reply, entered, (desk) => desk.account(account));
  });

  app.post<{ Params: Params }>("/runs/:id/pay/settle", (request, reply) => {
    const entered = enterPaid(gate, request, reply, ["owner"]);
    if (!entered) return reply;
    return viaDesk(reply, entered, async (desk) => {
      const settled = await desk.settle();
      return settled.ok ? { ok: true, value: { standing: settled.value } } : settled;
    });
  });

  app.post<{ Params: Params }>("/runs/:id/pay/run", async (request, reply) => {
    const entered = enterPaid(gate, request, reply, ["owner"]);
    if (!entered) return reply;
    const body = await readAtMost(request.raw, BODY_BYTES_MAX);
    const made = madeDecoder(body && parsed(body));
    if (!made.ok) return refuse(reply, 400, problemText(made.error));
    const { transaction }: Made = made.value;
    if (!TRANSACTION.test(transaction)) return refuse(reply, 400, "expected a transaction's hash");
    return viaDesk(reply, entered, async (desk) => {
      const adopted = await desk.adopt(transaction);
      return adopted.ok ? { ok: true, value: { onChainRunId: adopted.value } } : adopted;
    });
  });
}

type Entered = { readonly terms: Pay; readonly desk: SettlementDesk | null };

const NO_DESK = "nobody settles beside this coordinator: its owner starts it with --chain";

function enterPaid(
  gate: RunGate,
  request: RunRequest,
  reply: FastifyReply,
  roles: readonly Role["kind"][],
): Entered | null {
  const entered = gate.enter(request, reply, roles);
  if (!entered) return null;
  const { core, settlements: desk } = entered.run;
  const { pay: terms } = core.state.run;
  if (terms) return { terms, desk };
  reply.code(404).send({ code: "http/not-found", message: "this run pays nothing" });
  return null;
}

async function tellPay({ terms, desk }: Entered): Promise<PayTold> {
  const asked = await desk?.standing();
  if (!asked) return { terms, standing: null, trouble: NO_DESK };
  return asked.ok
    ? { terms, standing: asked.value, trouble: null }
    : { terms, standing: null, trouble: asked.error };
}

async function viaDesk<T>(
  reply: FastifyReply,
  { desk }: Entered,
  ask: (desk: SettlementDesk) => Promise<Result<T, string>>,
): Promise<FastifyReply> {
  if (!desk) return refuse(reply, 409, NO_DESK);
  const answer = await ask(desk);
  return answer.ok ? reply.send(answer.value) : refuse(reply, 422, answer.error);
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
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
