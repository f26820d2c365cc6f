// How refusals look over HTTP: a status, and JSON with the code and the sentence.

import type { Reject, RejectCode } from "@manyhands/protocol/rejects";
import type { FastifyReply } from "fastify";

const STATUS_OF: Partial<Record<RejectCode, number>> = {
  "auth/token": 401,
  "auth/session": 401,
  "hello/run-unknown": 404,
  "message/malformed": 400,
  "message/too-large": 413,
  "blob/unknown": 404,
  "blob/sealed": 403,
  "blob/too-large": 413,
  "blob/hash": 422,
  "blob/quota": 429,
};

function httpStatusOf(code: RejectCode): number {
  return STATUS_OF[code] ?? 400;
}

export function refuseWith(reply: FastifyReply, refused: Reject, status?: number): FastifyReply {
  const { code, message } = refused;
  return reply.code(status ?? httpStatusOf(code)).send({ code, message });
}
